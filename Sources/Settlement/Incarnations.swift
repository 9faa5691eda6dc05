import Core
package import Ledger
package import Postgres
package import Redis
import Threads

/// The numbers of the Redis lives this process has met.
///
/// They are good until the mode of the installation changes: then every image from before has to be missing.
package final class Incarnations: Sendable {
    /// A life as it is registered.
    package struct Registered: Sendable {
        /// Its number.
        package let number: Int64
        /// The change of the mode after which it has that number.
        package let change: Int64
    }

    private let ledger: LedgerStore
    private let known = Locked<[RedisIdentity: Registered]>([:])

    /// Creates an empty register over the ledger's.
    package init(ledger: LedgerStore) {
        self.ledger = ledger
    }

    /// The number of a life, 0 while it is not known here.
    ///
    /// No I/O.
    package func number(of identity: RedisIdentity) -> Int64 {
        known.withLock { $0[identity]?.number ?? 0 }
    }

    /// The life as it is registered in the ledger, which is asked when this process has not met it; nil while reservations are made
    /// in the ledger.
    package func register(_ identity: RedisIdentity) throws(PostgresError) -> Registered? {
        if let met = known.withLock({ $0[identity] }) { return met }
        let found = try ledger.incarnation(runID: identity.runID, replicationID: identity.replicationID)
        guard let found else { return nil }
        let registered = Registered(number: found.number, change: found.change)
        known.withLock { $0[identity] = registered }
        return registered
    }

    /// Forgets the numbers that were good after other changes of the mode than this one.
    package func forget(exceptChange change: Int64) {
        known.withLock { known in known = known.filter { $0.value.change == change } }
    }
}
