package import Core
package import Ledger
import Postgres
import Synchronization
package import Threads

/// What one running stream has delivered so far.
package final class CheckpointSlot: Sendable {
    fileprivate let tenant: TenantID
    fileprivate let trace: TraceID
    fileprivate let providerModelID: Int64
    fileprivate let priceVersion: Int64
    fileprivate let inputTokens: Int64
    fileprivate let outputTokens = Atomic<Int64>(0)
    /// When it was written last, in monotonic nanoseconds; 0 for never.
    ///
    /// Only the checkpoint thread changes it.
    fileprivate let writtenAt = Atomic<Int64>(0)

    /// Creates the slot of a stream that is about to begin.
    package init(
        tenant: TenantID, trace: TraceID, providerModelID: Int64, priceVersion: Int64, inputTokens: Int64
    ) {
        self.tenant = tenant
        self.trace = trace
        self.providerModelID = providerModelID
        self.priceVersion = priceVersion
        self.inputTokens = inputTokens
    }

    /// Notes how many answer tokens were delivered.
    package func update(outputTokens: Int64) {
        self.outputTokens.store(outputTokens, ordering: .relaxed)
    }
}

/// Writes what running streams have delivered to the ledger, so that a process that dies charges for it.
///
/// One thread writes the checkpoints of all streams in one statement. A stream's first one is written a quarter of a second after
/// its first byte at the latest, so streams shorter than that cost nothing; the following ones every ten seconds.
package final class StreamCheckpoints: Sendable {
    private let ledger: LedgerStore
    private let roundMilliseconds: Int
    private let intervalNanoseconds: Int64
    private let running = Locked<[TraceID: CheckpointSlot]>([:])

    /// Creates the checkpoints of a process.
    package init(ledger: LedgerStore, roundMilliseconds: Int = 250, intervalSeconds: Int = 10) {
        self.ledger = ledger
        self.roundMilliseconds = roundMilliseconds
        intervalNanoseconds = Int64(intervalSeconds) * 1_000_000_000
    }

    /// Starts the thread that writes.
    package func start() throws(WorkerThread.CreationError) {
        _ = try WorkerThread(name: "checkpoints", isDetached: true) {
            let pause = Signal()
            while true {
                _ = pause.wait(until: .after(milliseconds: self.roundMilliseconds))
                self.writeDue()
            }
        }
    }

    /// A stream delivers its first byte.
    package func begin(_ slot: CheckpointSlot) {
        running.withLock { $0[slot.trace] = slot }
    }

    /// A stream has ended; true when a checkpoint of it was written.
    package func end(_ slot: CheckpointSlot) -> Bool {
        running.withLock { _ = $0.removeValue(forKey: slot.trace) }
        return slot.writtenAt.load(ordering: .acquiring) != 0
    }

    private func writeDue() {
        let now = Deadline.now.nanoseconds
        let due = running.withLock { running in
            running.values.filter { slot in
                let written = slot.writtenAt.load(ordering: .relaxed)
                return written == 0 || now - written >= intervalNanoseconds
            }
        }
        guard !due.isEmpty else { return }
        // Marked before it is written: a stream that ends meanwhile then deletes a row that may not be there yet, and the
        // sweeper removes what such a race leaves behind.
        for slot in due { slot.writtenAt.store(now, ordering: .releasing) }
        do throws(PostgresError) {
            try ledger.writeCheckpoints(
                due.map { slot in
                    StreamCheckpoint(
                        tenant: slot.tenant, trace: slot.trace, providerModelID: slot.providerModelID,
                        priceVersion: slot.priceVersion, inputTokens: slot.inputTokens,
                        outputTokens: slot.outputTokens.load(ordering: .relaxed), source: .observed)
                })
        } catch {
            // Tried again in the next round: a missing checkpoint costs the house a few tokens, and only if this process dies.
            for slot in due { slot.writtenAt.store(0, ordering: .releasing) }
        }
    }
}
