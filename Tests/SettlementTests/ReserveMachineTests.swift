import Core
import Postgres
import Settlement
import TestSupport
import Testing

@testable import Ledger
@testable import Quota

@Suite struct ReserveMachineTests {
    private let standing = TenantStanding(epoch: 4, creditSequence: 2, limitsVersion: 3)

    // MARK: - The ordinary way

    @Test func `a hold is taken, made durable, and only then handed out`() {
        var machine = ReserveMachine()
        let held = Held.taken()
        #expect(machine.next(after: .begin).name == "deduct")
        #expect(machine.next(after: .deducted(.held(held))).name == "insertPending")
        let end = machine.next(after: .inserted(.written))
        guard case .finish(let finished) = end else {
            Issue.record("\(end)")
            return
        }
        #expect(finished == held)
    }

    @Test func `a missing image is rebuilt and the hold asked for again`() {
        var machine = ReserveMachine()
        _ = machine.next(after: .begin)
        #expect(machine.next(after: .deducted(.missing)).name == "rebuild")
        #expect(machine.next(after: .rebuilt).name == "deduct")
        #expect(machine.next(after: .deducted(.held(Held.taken()))).name == "insertPending")
    }

    @Test func `an order that came too late is asked for again`() {
        var machine = ReserveMachine()
        _ = machine.next(after: .begin)
        #expect(machine.next(after: .deducted(.late)).name == "deduct")
    }

    @Test(arguments: [DeductReply.missing, .late])
    func `an image that keeps changing is given up after as many rounds as allowed`(reply: DeductReply) {
        var machine = ReserveMachine(roundsMax: 3)
        var action = machine.next(after: .begin)
        var deducts = 0
        while action.name == "deduct" || action.name == "rebuild" {
            if action.name == "deduct" { deducts += 1 }
            action = machine.next(after: action.name == "rebuild" ? .rebuilt : .deducted(reply))
        }
        #expect(deducts == 3)
        #expect(action.failure == "unavailable")
    }

    // MARK: - Failures

    @Test func `a Redis that does not answer ends the reservation`() {
        var machine = ReserveMachine()
        _ = machine.next(after: .begin)
        #expect(machine.next(after: .deductFailed(.outcomeUnknown("x"))).failure == "unavailable")
    }

    @Test func `a rebuild that fails ends the reservation with its reason`() {
        var machine = ReserveMachine()
        _ = machine.next(after: .begin)
        _ = machine.next(after: .deducted(.missing))
        #expect(machine.next(after: .rebuildFailed(.unknownTenant)).failure == "unknownTenant")
    }

    @Test func `a trace that holds something else is a conflict and is not released`() {
        var machine = ReserveMachine()
        _ = machine.next(after: .begin)
        #expect(machine.next(after: .deducted(.conflict)).failure == "conflict")
    }

    @Test func `a row that was not written gives the hold back`() {
        var machine = ReserveMachine()
        let held = Held.taken()
        _ = machine.next(after: .begin)
        _ = machine.next(after: .deducted(.held(held)))
        let release = machine.next(after: .inserted(.failed(.unreachable("x"))))
        guard case .release(held) = release else {
            Issue.record("\(release)")
            return
        }
        #expect(machine.next(after: .released).failure == "unavailable")
    }

    @Test func `a lost idempotency key gives the hold back`() {
        var machine = ReserveMachine()
        _ = machine.next(after: .begin)
        _ = machine.next(after: .deducted(.held(Held.taken())))
        #expect(machine.next(after: .inserted(.keyTaken)).name == "release")
        #expect(machine.next(after: .released).failure == "keyInUse")
    }

    @Test func `a trace with another row gives the hold back as a conflict`() {
        var machine = ReserveMachine()
        let held = Held.taken()
        _ = machine.next(after: .begin)
        _ = machine.next(after: .deducted(.held(held)))
        let row = Held.row()
        #expect(machine.next(after: .inserted(.standing(row))).name == "release")
        #expect(machine.next(after: .released).failure == "conflict")
    }

    @Test func `a row that was perhaps written keeps the hold`() {
        var machine = ReserveMachine()
        _ = machine.next(after: .begin)
        _ = machine.next(after: .deducted(.held(Held.taken())))
        #expect(machine.next(after: .inserted(.unknown(.timeout))).failure == "unavailable")
    }

    // MARK: - Stale images

    @Test func `a fenced row leads to the ledger's word, a drop, and another try`() {
        var machine = ReserveMachine()
        _ = machine.next(after: .begin)
        _ = machine.next(after: .deducted(.held(Held.taken())))
        #expect(machine.next(after: .inserted(.fenced)).name == "readStanding")
        let drop = machine.next(after: .standing(standing))
        guard case .drop(standing) = drop else {
            Issue.record("\(drop)")
            return
        }
        #expect(machine.next(after: .dropped).name == "deduct")
    }

    @Test func `a fenced row of an unknown tenant ends the reservation`() {
        var machine = ReserveMachine()
        _ = machine.next(after: .begin)
        _ = machine.next(after: .deducted(.held(Held.taken())))
        _ = machine.next(after: .inserted(.fenced))
        #expect(machine.next(after: .standing(nil)).failure == "unknownTenant")
    }

    @Test func `a ledger that cannot be read ends the reservation`() {
        var machine = ReserveMachine()
        _ = machine.next(after: .begin)
        _ = machine.next(after: .deducted(.refused(Held.refusal())))
        #expect(machine.next(after: .standingUnknown).failure == "unavailable")
    }

    @Test func `a refusal by a current image is final`() {
        var machine = ReserveMachine()
        _ = machine.next(after: .begin)
        let refusal = Held.refusal(epoch: 4, creditSequence: 2, limitsVersion: 3)
        #expect(machine.next(after: .deducted(.refused(refusal))).name == "readStanding")
        #expect(machine.next(after: .standing(standing)).failure == "refused")
    }

    @Test func `a refusal by an image that is ahead of what was read is final`() {
        var machine = ReserveMachine()
        _ = machine.next(after: .begin)
        let refusal = Held.refusal(epoch: 4, creditSequence: 3, limitsVersion: 4)
        _ = machine.next(after: .deducted(.refused(refusal)))
        #expect(machine.next(after: .standing(standing)).failure == "refused")
    }

    @Test(arguments: [(3, 2, 3), (5, 2, 3), (4, 1, 3), (4, 2, 2)])
    func `a refusal by a stale image drops it once, and the next refusal is final`(
        epoch: Int64, creditSequence: Int64, limitsVersion: Int64
    ) {
        var machine = ReserveMachine()
        _ = machine.next(after: .begin)
        let refusal = Held.refusal(
            epoch: epoch, creditSequence: creditSequence, limitsVersion: limitsVersion)
        #expect(machine.next(after: .deducted(.refused(refusal))).name == "readStanding")
        #expect(machine.next(after: .standing(standing)).name == "drop")
        #expect(machine.next(after: .dropped).name == "deduct")
        #expect(machine.next(after: .deducted(.missing)).name == "rebuild")
        #expect(machine.next(after: .rebuilt).name == "deduct")
        #expect(machine.next(after: .deducted(.refused(refusal))).failure == "refused")
    }

    @Test func `a refusal that was stale does not hide a later fence`() {
        var machine = ReserveMachine()
        _ = machine.next(after: .begin)
        _ = machine.next(after: .deducted(.refused(Held.refusal(epoch: 3))))
        _ = machine.next(after: .standing(standing))
        _ = machine.next(after: .dropped)
        _ = machine.next(after: .deducted(.held(Held.taken())))
        #expect(machine.next(after: .inserted(.fenced)).name == "readStanding")
        #expect(machine.next(after: .standing(standing)).name == "drop")
    }
}

/// Decisions about limits.
@Suite struct ReserveMachineLimitTests {
    @Test(arguments: [QuotaLimit.requestsPerMinute, .tokensPerMinute, .concurrency])
    func `a rate that refuses is the last word, without a look into the ledger`(limit: QuotaLimit) {
        var machine = ReserveMachine()
        _ = machine.next(after: .begin)
        let refused = machine.next(after: .deducted(.refused(Held.refusal(limit))))
        #expect(refused.failure == "refused")
    }

    @Test func `an image with older limits than the caller knows is dropped, and the hold asked for again`() {
        var machine = ReserveMachine()
        let standing = TenantStanding(epoch: 4, creditSequence: 2, limitsVersion: 9)
        _ = machine.next(after: .begin)
        #expect(machine.next(after: .deducted(.stale)).name == "readStanding")
        #expect(machine.next(after: .standing(standing)).name == "drop")
        #expect(machine.next(after: .dropped).name == "deduct")
        #expect(machine.next(after: .deducted(.missing)).name == "rebuild")
        #expect(machine.next(after: .rebuilt).name == "deduct")
        #expect(machine.next(after: .deducted(.held(Held.taken()))).name == "insertPending")
    }

    @Test func `an image that stays older than what the caller knows is not waited for without end`() {
        var machine = ReserveMachine(roundsMax: 3)
        let standing = TenantStanding(epoch: 4, creditSequence: 2, limitsVersion: 1)
        var action = machine.next(after: .begin)
        for _ in 0..<3 {
            #expect(action.name == "deduct")
            _ = machine.next(after: .deducted(.stale))
            _ = machine.next(after: .standing(standing))
            action = machine.next(after: .dropped)
        }
        #expect(action.failure == "unavailable")
    }
}

/// Replies as the stores give them.
private enum Held {
    static func taken() -> HeldAmount {
        HeldAmount(
            epoch: 4, rseq: 1, balanceBefore: Money(nanodollars: 10), balanceAfter: .zero, dailyUsed: 1,
            monthlyUsed: 1, dailyQuota: nil, monthlyQuota: nil, limitsVersion: 3,
            period: Period(day: 20_250_614))
    }

    static func row() -> StandingRow {
        StandingRow(
            trace: .fresh(), status: .voided, epoch: 4, rseq: 1, hold: Money(nanodollars: 10), charge: .zero,
            owner: "other")
    }

    static func refusal(
        _ limit: QuotaLimit = .balance, epoch: Int64 = 4, creditSequence: Int64 = 2, limitsVersion: Int64 = 3
    ) -> QuotaRefusal {
        QuotaRefusal(
            limit: limit, epoch: epoch, creditSequence: creditSequence, limitsVersion: limitsVersion,
            balance: .zero, limitValue: 0, used: 1)
    }
}

extension ReserveMachine.Action {
    fileprivate var name: String {
        switch self {
        case .deduct: "deduct"
        case .rebuild: "rebuild"
        case .insertPending: "insertPending"
        case .readStanding: "readStanding"
        case .drop: "drop"
        case .release: "release"
        case .finish: "finish"
        case .fail: "fail"
        }
    }

    fileprivate var failure: String? {
        guard case .fail(let error) = self else { return nil }
        return switch error {
        case .refused: "refused"
        case .unavailable: "unavailable"
        case .inDatabaseMode: "inDatabaseMode"
        case .conflict: "conflict"
        case .keyInUse: "keyInUse"
        case .unknownTenant: "unknownTenant"
        case .notDurable: "notDurable"
        case .overruled: "overruled"
        }
    }
}
