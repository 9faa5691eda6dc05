import Core
import Ledger
import Settlement

// The sweeper, as the job runs it.
extension Simulation {
    func beginSweep(_ thread: SimulatedThread) -> Bool {
        guard isDraining ? sweepsLeft > 0 : options.onlyHolds == nil && draw(25) == 0 else { return false }
        thread.layer = .sweep
        // Each run is a process of its own.
        learn(thread.process, 0, 0)
        send(thread, .register)
        return true
    }

    func answerSweep(_ thread: SimulatedThread, _ effect: Effect) {
        switch (effect, thread.answer) {
        case (.register, .registered(let life, let change)):
            learn(thread.process, life, change)
            thread.sweepsHolds = true
            send(thread, .readOrphans)
        case (.register, .closed):
            thread.sweepsHolds = false
            send(thread, .readOrphans)
        case (.readOrphans, .orphans(let orphans)):
            thread.orphans = orphans
            sweepRow(thread)
        case (.endRow, _): sweepRow(thread)
        case (.readHolds, .holds(let holds)):
            thread.sweptHolds = holds
            send(thread, .readRows)
        case (.readRows, .rows(let rows)):
            thread.sweptRows = rows
            sweepHold(thread)
        case (.bury, .done): send(thread, .readRow)
        case (.readRow, .rows(let rows)):
            let decision = HoldSweep(buried: rows[0])
            if case .settle(let end) = decision { release(thread, end) } else { sweepHold(thread) }
        case (.settleImage, .settle): sweepHold(thread)
        default: thread.layer = .idle
        }
    }

    private func sweepRow(_ thread: SimulatedThread) {
        while let orphan = thread.orphans.popLast() {
            let isDead = orphan.isOwnerDead || breakage == .liveOwnerSwept
            thread.trace = orphan.trace
            switch RowSweep(isOwnerDead: isDead, hasCheckpoint: orphan.checkpoint > 0) {
            case .leave: continue
            case .void:
                reach(.sweptVoid)
                send(thread, .endRow(RowEnd(charge: .zero, status: .voided)))
            case .commit:
                reach(.sweptCommit)
                let charge = Money(nanodollars: min(orphan.checkpoint, orphan.hold))
                send(thread, .endRow(RowEnd(charge: charge, status: .committed)))
            }
            return
        }
        if thread.sweepsHolds { send(thread, .readHolds) } else { endSweep(thread) }
    }

    private func endSweep(_ thread: SimulatedThread) {
        thread.layer = .idle
        if isDraining { sweepsLeft -= 1 }
    }

    private func sweepHold(_ thread: SimulatedThread) {
        while let hold = thread.sweptHolds.popLast() {
            thread.sweptHold = hold
            thread.trace = hold.trace
            let decision = HoldSweep(
                row: thread.sweptRows[hold.trace], epoch: hold.epoch, rseq: hold.rseq,
                ageMilliseconds: now - truths[hold.trace].createdAt, graceMilliseconds: graceMilliseconds)
            switch decision {
            case .leave: continue
            case .settle(let end):
                reach(.sweptHold)
                release(thread, end)
            case .bury:
                if breakage == .releasedWithoutTombstone {
                    release(thread, hold.end)
                } else {
                    send(thread, .bury(hold))
                }
            }
            return
        }
        endSweep(thread)
    }

    private func release(_ thread: SimulatedThread, _ end: RowEnd) {
        thread.sweptHold.end = end
        send(thread, .settleImage(thread.sweptHold))
    }
}
