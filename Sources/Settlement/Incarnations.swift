import Core
package import Ledger
package import Postgres
package import Redis
import Threads

/// The numbers of the Redis lives this process has met.
package final class Incarnations: Sendable {
    private let ledger: LedgerStore
    private let known = Locked<[RedisIdentity: Int64]>([:])

    /// Creates an empty register over the ledger's.
    package init(ledger: LedgerStore) {
        self.ledger = ledger
    }

    /// The number of a life, 0 while it is not known here.
    ///
    /// No I/O.
    package func number(of identity: RedisIdentity) -> Int64 {
        known.withLock { $0[identity] ?? 0 }
    }

    /// The number of a life, registered in the ledger when this process has not met it.
    package func register(_ identity: RedisIdentity) throws(PostgresError) -> Int64 {
        let number = number(of: identity)
        guard number == 0 else { return number }
        let registered = try ledger.incarnation(runID: identity.runID, replicationID: identity.replicationID)
        known.withLock { $0[identity] = registered }
        return registered
    }
}
