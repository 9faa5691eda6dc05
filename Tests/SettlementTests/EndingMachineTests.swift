import Core
import Ledger
import Postgres
import Quota
import Settlement
import TestSupport
import Testing

/// The machines that end a hold: while its client waits, and after it has gone.
@Suite struct EndingMachineTests {
    private let charged = RowEnd(charge: Money(nanodollars: 7), status: .committed)
    private let voided = RowEnd(charge: .zero, status: .voided)

    // MARK: - While the client waits

    @Test func `the row is ended first, and Redis after it`() {
        var machine = SettleMachine(wanted: charged)
        #expect(name(machine.next(after: .begin)) == "endRow")
        guard case .settleImage(charged) = machine.next(after: .written(.written)) else {
            Issue.record("Redis is not settled as the row was ended")
            return
        }
        let reply = SettleReply.settled(balance: Money(nanodollars: 3))
        guard case .finish(charged, reply) = machine.next(after: .imageSettled(reply)) else {
            Issue.record("it is not finished")
            return
        }
    }

    @Test func `a Redis that does not answer is settled later, and the client is answered`() {
        var machine = SettleMachine(wanted: charged)
        _ = machine.next(after: .written(.written))
        #expect(name(machine.next(after: .imageFailed)) == "queueImage")
        #expect(name(machine.next(after: .queued)) == "finish")
    }

    @Test(arguments: [
        LedgerWriter.Outcome.fenced, .failed(.poolExhausted), .unknown(.timeout),
    ])
    func `a row that is not known to have ended is queued, and Redis left alone`(
        outcome: LedgerWriter.Outcome
    ) {
        var machine = SettleMachine(wanted: charged)
        #expect(name(machine.next(after: .written(outcome))) == "queueRow")
        guard case .fail(.notDurable) = machine.next(after: .queued) else {
            Issue.record("the client is not told")
            return
        }
    }

    @Test func `a settlement that finds too many waiting is queued`() {
        var machine = SettleMachine(wanted: voided)
        #expect(name(machine.next(after: .overloaded)) == "queueRow")
        #expect(name(machine.next(after: .queued)) == "fail")
    }

    @Test func `a row that another has ended otherwise is obeyed, and the client told`() {
        var machine = SettleMachine(wanted: charged)
        let row = StandingRow.ended(.voided, charge: 0)
        guard case .settleImage(voided) = machine.next(after: .written(.standing(row))) else {
            Issue.record("Redis is not settled as the row was ended")
            return
        }
        guard case .fail(.overruled) = machine.next(after: .imageSettled(.missing)) else {
            Issue.record("the client is not told")
            return
        }
    }

    @Test func `a row that another has committed for another amount is charged that`() {
        var machine = SettleMachine(wanted: charged)
        _ = machine.next(after: .written(.standing(.ended(.committed, charge: 5))))
        guard case .finish(let end, _) = machine.next(after: .imageSettled(.missing)) else {
            Issue.record("it is not finished")
            return
        }
        #expect(end.charge == Money(nanodollars: 5))
    }

    // MARK: - After it has gone

    @Test func `what is tried again ends the row, and then Redis`() {
        var machine = RetryMachine(wanted: charged)
        #expect(name(machine.next(after: .begin)) == "endRow")
        #expect(name(machine.next(after: .written(.written))) == "settleImage")
        #expect(name(machine.next(after: .imageSettled)) == "finish")
    }

    @Test func `a row that is not there is buried once, and ended again`() {
        var machine = RetryMachine(wanted: voided)
        #expect(name(machine.next(after: .written(.fenced))) == "bury")
        #expect(name(machine.next(after: .buried)) == "endRow")
        #expect(name(machine.next(after: .written(.fenced))) == "putBack")
    }

    @Test(arguments: [LedgerWriter.Outcome.failed(.poolExhausted), .unknown(.timeout)])
    func `a ledger that gives no answer is tried again`(outcome: LedgerWriter.Outcome) {
        var machine = RetryMachine(wanted: charged)
        #expect(name(machine.next(after: .written(outcome))) == "putBack")
    }

    @Test func `a charge that got through although the client was told otherwise is refunded first`() {
        var machine = RetryMachine(wanted: voided)
        guard
            case .refund(let charge) = machine.next(
                after: .written(.standing(.ended(.committed, charge: 7))))
        else {
            Issue.record("nothing is refunded")
            return
        }
        #expect(charge == Money(nanodollars: 7))
        guard case .settleImage(charged) = machine.next(after: .refunded(.added(sequence: 2))) else {
            Issue.record("Redis is not settled as the row was ended")
            return
        }
    }

    @Test func `a refund that cannot be added is tried again`() {
        for event in [RetryMachine.Event.failed, .refunded(.beyondLimit)] {
            var machine = RetryMachine(wanted: voided)
            _ = machine.next(after: .written(.standing(.ended(.committed, charge: 7))))
            #expect(name(machine.next(after: event)) == "putBack")
        }
    }

    @Test func `a charge of nothing is not refunded, and one that was wanted neither`() {
        var free = RetryMachine(wanted: voided)
        #expect(name(free.next(after: .written(.standing(.ended(.committed, charge: 0))))) == "settleImage")
        var wanted = RetryMachine(wanted: charged)
        #expect(name(wanted.next(after: .written(.standing(.ended(.committed, charge: 7))))) == "settleImage")
    }

    @Test func `a Redis that does not answer is settled later, and the row is done`() {
        var machine = RetryMachine(wanted: voided)
        _ = machine.next(after: .written(.written))
        #expect(name(machine.next(after: .imageFailed)) == "queueImage")
        #expect(name(machine.next(after: .queued)) == "finish")
    }
}

/// The name of an action without what it carries.
func name<Action>(_ action: Action) -> String {
    String("\(action)".prefix { $0.isLetter })
}
