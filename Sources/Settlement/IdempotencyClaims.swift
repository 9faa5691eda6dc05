package import Core
package import Ledger
import Postgres

/// Why a request under an idempotency key is not run.
package enum ClaimRefusal: Sendable, Equatable {
    /// The first request runs.
    case running
    /// The key stands for a request that asked for something else.
    case otherBody
    /// The first request was charged for a part of its answer, and the whole is nowhere.
    case interrupted
    /// The first request's answer was too large to be kept.
    case tooLarge
}

/// What becomes of a request with an idempotency key: the decision from what stands under the key.
///
/// A key is worth what became of the first request. While that may still be charged, and once it was, nothing is ever run again under
/// the key; once it was voided, the key is as good as new.
package enum ClaimDecision: Sendable, Equatable {
    /// It is run, if it gets the claim: the ledger's unique key decides among several.
    case run
    /// It is given the first request's answer.
    case replay(StoredAnswer, of: TraceID)
    /// It is neither run nor answered.
    case refuse(ClaimRefusal)

    /// Decides about a request.
    ///
    /// - Parameter standing: What stands under the key; nil for nothing.
    package init(_ standing: StandingClaim?) {
        guard let standing, standing.status != .voided else {
            self = .run
            return
        }
        guard standing.isSameBody else {
            self = .refuse(.otherBody)
            return
        }
        // A claim comes with its row: one that is not to be seen must have it for all that is known.
        guard standing.status == .committed else {
            self = .refuse(.running)
            return
        }
        guard let answer = standing.answer else {
            self = .refuse(.interrupted)
            return
        }
        self = answer.body == nil ? .refuse(.tooLarge) : .replay(answer, of: standing.trace)
    }

    /// Decides about a request that got no hold, or lost the claim: nil when no other under its key is to blame.
    ///
    /// - Parameter standing: What stands under the key since.
    package static func afterFailure(_ error: SettlementError, _ standing: StandingClaim?) -> ClaimRefusal? {
        let hasLost: Bool
        switch error {
        case .keyInUse: hasLost = true
        case .refused: hasLost = false
        default: return nil
        }
        switch ClaimDecision(standing) {
        case .refuse(let refusal): return refusal
        // It has just ended: asked again, it gives its answer.
        case .replay: return .running
        case .run: return hasLost ? .running : nil
        }
    }
}

/// What the ledger knows about idempotency keys.
///
/// Asked by requests with a key alone, before they take a hold: so a repeated request costs nothing and counts in no limit.
package struct IdempotencyClaims: Sendable {
    private let ledger: LedgerStore

    /// Creates the look-up in a ledger.
    package init(ledger: LedgerStore) {
        self.ledger = ledger
    }

    /// What becomes of a request under a key.
    package func decision(
        on claim: IdempotencyClaim, of tenant: TenantID, key: APIKeyID
    ) throws(SettlementError) -> ClaimDecision {
        try orUnavailable { () throws(PostgresError) in
            ClaimDecision(try LedgerReader.claim(ledger.database, claim, of: tenant, key: key))
        }
    }

    /// Why a request failed to get a hold, when another under its key is to blame: it was first, or its hold is what is in the way.
    package func refusal(
        of claim: IdempotencyClaim, _ tenant: TenantID, key: APIKeyID, after error: SettlementError
    ) -> ClaimRefusal? {
        do throws(PostgresError) {
            return ClaimDecision.afterFailure(
                error, try LedgerReader.claim(ledger.database, claim, of: tenant, key: key))
        } catch {
            // Then the failure itself is told.
            return nil
        }
    }
}
