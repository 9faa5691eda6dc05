import Core
import Settlement
import Testing

@testable import Ledger

/// What the sweeper does with rows and holds.
@Suite struct SweepDecisionTests {
    private let released = RowEnd(charge: .zero, status: .voided)

    @Test func `a row is ended when its owner is dead, and charged when its stream had delivered`() {
        #expect(RowSweep(isOwnerDead: false, hasCheckpoint: false) == .leave)
        #expect(RowSweep(isOwnerDead: false, hasCheckpoint: true) == .leave)
        #expect(RowSweep(isOwnerDead: true, hasCheckpoint: false) == .void)
        #expect(RowSweep(isOwnerDead: true, hasCheckpoint: true) == .commit)
    }

    @Test func `a hold follows its row`() {
        #expect(decide(.ended(.pending, charge: 0), age: 1_000) == .leave)
        #expect(decide(.ended(.voided, charge: 0), age: 0) == .settle(released))
        let charged = RowEnd(charge: Money(nanodollars: 5), status: .committed)
        #expect(decide(.ended(.committed, charge: 5), age: 0) == .settle(charged))
    }

    @Test(arguments: [(Int64(4), Int64(2)), (5, 1)])
    func `a hold beside the one of its trace's row gives back everything`(epoch: Int64, rseq: Int64) {
        let decision = HoldSweep(
            row: .ended(.committed, charge: 5), epoch: epoch, rseq: rseq, ageMilliseconds: 0,
            graceMilliseconds: 100)
        #expect(decision == .settle(released))
    }

    @Test func `a hold without a row is buried when no row can come any more`() {
        #expect(decide(nil, age: 100) == .leave)
        #expect(decide(nil, age: 101) == .bury)
    }

    @Test func `a hold is released when its trace is taken by a voided row, and by no other`() {
        #expect(HoldSweep(buried: .ended(.voided, charge: 0)) == .settle(released))
        #expect(HoldSweep(buried: .ended(.pending, charge: 0)) == .leave)
        #expect(HoldSweep(buried: .ended(.committed, charge: 5)) == .leave)
        // Where time is closed no row was taken, and none can come.
        #expect(HoldSweep(buried: nil) == .settle(released))
    }

    private func decide(_ row: StandingRow?, age: Int64) -> HoldSweep {
        HoldSweep(row: row, epoch: 4, rseq: 1, ageMilliseconds: age, graceMilliseconds: 100)
    }
}

extension StandingRow {
    /// A row in a state, with a charge in nano-dollars.
    static func ended(_ status: TransactionStatus, charge: Int64) -> StandingRow {
        StandingRow(
            trace: TraceID(lowestAtUnixMilliseconds: 0), status: status, epoch: 4, rseq: 1,
            hold: Money(nanodollars: 10), charge: Money(nanodollars: charge), owner: "other")
    }
}
