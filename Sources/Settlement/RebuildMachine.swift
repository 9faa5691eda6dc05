package import Quota

/// The decisions of rebuilding a tenant's image: which effect comes next after each reply.
///
/// It does nothing itself. An effect that fails ends the rebuild: the next request begins another.
///
/// The lease only saves work. What makes a rebuild safe is the order: the epoch is raised and committed alone, and only then the
/// snapshot is read, so that it counts every row that was accepted under the old epoch.
package struct RebuildMachine: Sendable {
    /// What is to be done next.
    package enum Action: Sendable {
        /// Learn which life of Redis answers, and its number.
        case identify
        /// Take the lease, unless a valid image stands.
        case takeLease
        /// Wait a little: another rebuilds.
        case pause
        /// Raise the epoch above this one and commit that alone.
        case raiseEpoch(above: Int64)
        /// Read all that an image is made of, in a new statement.
        case readSnapshot
        /// Install the snapshot under this epoch, if the lease is still held.
        case install(epoch: Int64)
        /// An image stands.
        case finish
        /// None could be made.
        case fail(SettlementError)
    }

    /// What came of the last action.
    package enum Event: Sendable {
        case begin
        case identified
        case leaseAnswered(LeaseReply)
        case paused(isLate: Bool)
        /// The new epoch; nil when there is no such tenant.
        case epochRaised(Int64?)
        /// The mode of the installation has changed since the life was identified, and was left again: it has another number now.
        case modeChanged(isLate: Bool)
        case snapshotRead(isKnown: Bool)
        case installAnswered(InstallReply, isLate: Bool)
    }

    private var epoch: Int64 = 0

    /// Creates the machine of one rebuild.
    package init() {}

    /// The action after an event.
    package mutating func next(after event: Event) -> Action {
        switch event {
        case .begin: return .identify
        case .identified: return .takeLease
        case .leaseAnswered(.warm): return .finish
        case .leaseAnswered(.busy): return .pause
        case .leaseAnswered(.taken(let seen)): return .raiseEpoch(above: seen)
        case .paused(let isLate): return again(isLate: isLate)
        case .epochRaised(let epoch):
            guard let epoch else { return .fail(.unknownTenant) }
            self.epoch = epoch
            return .readSnapshot
        case .modeChanged(let isLate): return again(isLate: isLate)
        case .snapshotRead(let isKnown): return isKnown ? .install(epoch: epoch) : .fail(.unknownTenant)
        case .installAnswered(.lost, let isLate): return again(isLate: isLate)
        case .installAnswered: return .finish
        }
    }

    private func again(isLate: Bool) -> Action {
        // The life is asked for anew: Redis may have been started meanwhile.
        isLate ? .fail(.unavailable("the tenant's balance is still being loaded")) : .identify
    }
}
