package import Core
package import Postgres

/// The claim of a request to be the one that is run under its idempotency key.
///
/// A key belongs to an API key of a tenant: others may use the same text.
package struct IdempotencyClaim: Sendable, Hashable {
    /// The key as the client sent it.
    package let key: String
    /// SHA-256 of the route and the body: what else is asked for under the key is a mistake.
    package let bodyHash: [UInt8]

    /// Creates a claim.
    package init(key: String, bodyHash: [UInt8]) {
        self.key = key
        self.bodyHash = bodyHash
    }
}

/// An answer as its client got it, kept for whoever asks again under the same idempotency key.
package struct StoredAnswer: Sendable, Equatable {
    /// The status.
    package let status: Int
    /// The value of `Content-Type`.
    package let contentType: String
    /// The body, all events of a stream included; nil when it was too large to be kept.
    package let body: [UInt8]?

    /// Creates an answer.
    package init(status: Int, contentType: String, body: [UInt8]?) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }
}

/// What stands in the ledger under an idempotency key.
package struct StandingClaim: Sendable, Equatable {
    /// The request that has it.
    package let trace: TraceID
    /// Whether that request asked for the same.
    package let isSameBody: Bool
    /// How its row stands; nil when there is none.
    package let status: TransactionStatus?
    /// What it was answered, if its answer is complete and the body the same.
    package let answer: StoredAnswer?

    /// Creates a standing claim.
    package init(trace: TraceID, isSameBody: Bool, status: TransactionStatus?, answer: StoredAnswer?) {
        self.trace = trace
        self.isSameBody = isSameBody
        self.status = status
        self.answer = answer
    }
}

extension LedgerReader {
    /// What stands under an idempotency key; nil for nothing, or what has expired.
    package static func claim(
        _ database: PostgresPool, _ claim: IdempotencyClaim, of tenant: TenantID, key: APIKeyID
    ) throws(PostgresError) -> StandingClaim? {
        let rows = try database.query(
            LedgerStatements.readClaim,
            [
                .text(tenant.description), .text(key.description), .text(claim.key), .bytes(claim.bodyHash),
            ])
        guard rows.count == 1 else { return nil }
        guard let trace = TraceID(rows.text(0, 0)) else { preconditionFailure("a trace id is a UUID") }
        let answer = rows.optionalInt(0, 3).map { status in
            StoredAnswer(
                status: Int(status), contentType: rows.text(0, 4), body: rows.optionalBytes(0, 5))
        }
        return StandingClaim(
            trace: trace, isSameBody: rows.bool(0, 1),
            status: rows.optionalText(0, 2).flatMap { TransactionStatus(rawValue: $0) }, answer: answer)
    }

    /// Of some pending rows those whose idempotency key stands for another request.
    static func takenKeys(_ database: PostgresPool, _ rows: [PendingRow]) throws(PostgresError) -> Set<
        TraceID
    > {
        guard !rows.isEmpty else { return [] }
        let taken = try database.query(
            LedgerStatements.readTakenKeys,
            [
                .textArray(rows.map(\.tenant.description)), .uuidArray(rows.map(\.trace.bits)),
                .optionalTextArray(rows.map { $0.key?.description }),
                .optionalTextArray(rows.map { $0.claim?.key }),
            ])
        return Set((0..<taken.count).compactMap { TraceID(taken.text($0, 0)) })
    }
}

// MARK: - Rows as columns

extension [PendingRow] {
    /// The parameters of rows that come with a claim.
    func claimedValues(owner: String, tokens: PostgresValue = .null) -> [PostgresValue] {
        values(owner: owner) + [
            .optionalTextArray(map { $0.claim?.key }), .optionalBytesArray(map { $0.claim?.bodyHash }),
            tokens,
        ]
    }
}

extension [RowSettlement] {
    /// The parameters of the answers that are kept; nil when none is.
    var answerValues: [PostgresValue]? {
        let kept = compactMap { row in row.answer.map { (row, $0) } }
        guard !kept.isEmpty else { return nil }
        return [
            .textArray(kept.map(\.0.tenant.description)), .uuidArray(kept.map(\.0.trace.bits)),
            .intArray(kept.map { Int64($0.1.status) }), .textArray(kept.map(\.1.contentType)),
            .optionalBytesArray(kept.map(\.1.body)),
        ]
    }
}

extension LedgerStatements {
    static let insertClaimed = Statement(name: "insert_claimed", sql: PackageResources.insert_claimed_sql)
    static let insertAnswers = Statement(name: "insert_answers", sql: PackageResources.insert_answers_sql)
    static let readClaim = Statement(name: "read_claim", sql: PackageResources.read_claim_sql)
    static let readTakenKeys = Statement(name: "read_taken_keys", sql: PackageResources.read_taken_keys_sql)
    static let removeExpiredKeys = Statement(
        name: "remove_expired_keys", sql: PackageResources.remove_expired_keys_sql)
    static let removeExpiredAnswers = Statement(
        name: "remove_expired_answers", sql: PackageResources.remove_expired_answers_sql)
}
