import Core
import Redis
import Threads

/// The tenants whose images this process has changed since it last said so.
///
/// Kept here and not in Redis, so that the scripts of a busy tenant cost no command more; a process that dies loses a second of
/// them.
final class DirtyTenants: Sendable {
    private let tenants = Locked<Set<TenantID>>([])

    /// Notes the tenants of calls.
    func note(_ batches: [TenantBatch]) {
        tenants.withLock { tenants in
            for batch in batches { tenants.insert(batch.tenant) }
        }
    }

    /// Gives the tenants away.
    func take() -> Set<TenantID> {
        tenants.withLock { tenants in
            defer { tenants.removeAll(keepingCapacity: true) }
            return tenants
        }
    }
}

extension QuotaStore {
    private static let namesMax = 1_000

    /// Tells Redis whose images this process has changed, for the job that copies them into PostgreSQL.
    ///
    /// To be called about once a second; what cannot be told is lost, and seen when the tenant is used again.
    package func tellDirty() throws(QuotaError) {
        let names = dirty.take().map(\.description)
        for start in stride(from: 0, to: names.count, by: QuotaStore.namesMax) {
            let some = names[start..<min(start + QuotaStore.namesMax, names.count)]
            _ = try command(["SADD", QuotaKeys.dirty] + some)
        }
    }
}
