import Foundation
package import JSON

/// Something that the operator's webhook is told.
package struct WebhookEvent: Sendable {
    /// What has happened.
    package enum Kind: String, Sendable, CaseIterable {
        /// An API key has used most of its budget.
        case budgetWarning = "budget.warning"
        /// Redis and the ledger differ.
        case ledgerDrift = "ledger.drift"
        /// Redis and its copy in the ledger differ by more than a running request explains.
        case quotaSyncDifference = "quota_sync.difference"
        /// An after-commit task was given up.
        case outboxDead = "outbox.dead"
    }

    /// What receivers know a repetition by.
    package let id: String
    /// What has happened.
    package let kind: Kind
    /// What is sent: the same bytes each time.
    package let body: String

    /// Creates an event.
    ///
    /// - Parameters:
    ///   - subject: What it is about, so that it is told once: part of the id.
    ///   - data: Whatever the receiver is told of it; amounts are decimal strings.
    package init(
        _ kind: Kind, about subject: String, unixSeconds: Int64, data: [(String, JSONValue)]
    ) {
        // What is signed has dots between its parts, so that an id should have none.
        let name = kind.rawValue.map { $0 == "." || $0 == "_" ? "-" : $0 }
        id = String(name) + ":" + subject.map { $0 == "." ? "/" : String($0) }.joined()
        self.kind = kind
        let created = Date(timeIntervalSince1970: TimeInterval(unixSeconds)).formatted(.iso8601)
        let event = JSONValue.object([
            JSONMember("id", .string(id)), JSONMember("type", .string(kind.rawValue)),
            JSONMember("created", .string(created)),
            JSONMember("data", .object(data.map { JSONMember($0.0, $0.1) })),
        ])
        body = String(decoding: event.encoded, as: UTF8.self)
    }
}
