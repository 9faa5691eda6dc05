package import Ledger
import Postgres
package import Quota
import Synchronization
package import Threads

/// The mode of the installation as this process sees it, and the thread that looks after it.
package final class DatabaseMode: Sendable {
    let reserver: LedgerReserver
    private let ledger: LedgerStore
    private let incarnations: Incarnations
    private let owner: String
    // A look at it costs each reservation nothing.
    private let current = Atomic(ReserveSide.image.rawValue)

    /// Creates the view of a process, which believes in Redis until it has looked.
    ///
    /// - Parameter owner: The name of this process.
    package init(ledger: LedgerStore, reserver: LedgerReserver, incarnations: Incarnations, owner: String) {
        self.ledger = ledger
        self.reserver = reserver
        self.incarnations = incarnations
        self.owner = owner
    }

    /// Where reservations are to be made.
    package var side: ReserveSide { ReserveSide(rawValue: current.load(ordering: .acquiring)) ?? .nowhere }

    /// Reads the mode and obeys it; nil when the ledger could not be read.
    @discardableResult
    package func refresh() -> InstallationMode? {
        guard let mode = read() else { return nil }
        set(mode.isDatabase ? .ledger : .image)
        return mode
    }

    private func read() -> InstallationMode? {
        // Whoever asks can do nothing about it, and goes on as before.
        guard let mode = try? ledger.mode() else { return nil }
        incarnations.forget(exceptChange: mode.change)
        return mode
    }

    private func set(_ side: ReserveSide) {
        current.store(side.rawValue, ordering: .releasing)
    }

    /// Starts the thread that follows the mode, and changes it as the rule says.
    ///
    /// - Parameter changed: Called on that thread whenever the side of this process has become another.
    package func start(
        _ rule: ModeMachine.Rule, quota: QuotaStore,
        changed: @escaping @Sendable (ReserveSide, InstallationMode?) -> Void
    ) throws(WorkerThread.CreationError) {
        _ = try WorkerThread(name: "quota-mode", isDetached: true) { [weak self] in
            var machine = ModeMachine(rule)
            var event = ModeMachine.Event.begin
            var told = ReserveSide.image
            var mode: InstallationMode?
            let wait = Signal()
            while true {
                let action = machine.next(after: event)
                guard let self else { return }
                self.set(machine.side)
                if machine.side != told {
                    told = machine.side
                    changed(told, mode)
                }
                if case .pause(let milliseconds) = action {
                    _ = wait.wait(until: .after(milliseconds: Int(milliseconds)))
                    event = .paused
                } else {
                    event = self.act(action, quota, &mode)
                }
            }
        }
    }

    private func act(
        _ action: ModeMachine.Action, _ quota: QuotaStore, _ mode: inout InstallationMode?
    ) -> ModeMachine.Event {
        switch action {
        case .readMode:
            mode = read()
            return .modeRead(mode)
        case .probeRedis:
            let isWell = quota.isWell()
            return .redisProbed(isWell: isWell, atMilliseconds: Deadline.now.nanoseconds / 1_000_000)
        case .enter, .leave, .noteLost:
            // What could not be written is tried again: the mode is read first.
            try? write(action)
            return .written
        case .pause: return .paused
        }
    }

    private func write(_ action: ModeMachine.Action) throws(PostgresError) {
        switch action {
        case .enter(let change): try ledger.enterDatabaseMode(after: change, by: owner)
        case .leave(let change, let healthy):
            try ledger.leaveDatabaseMode(after: change, by: owner, healthyMilliseconds: healthy)
        case .noteLost(let change): try ledger.noteRedisLost(after: change)
        case .readMode, .probeRedis, .pause: break
        }
    }
}
