import Core
import Ledger
import Quota
import Settlement
import Testing

/// The machine of extending a hold while its request runs.
@Suite struct ExtendMachineTests {
    private let amount = Money(nanodollars: 40)
    private let standing = TenantStanding(epoch: 5, creditSequence: 2, limitsVersion: 3)

    @Test func `the image is asked first, and the row raised under the epoch that it told`() {
        var machine = ExtendMachine(to: amount)
        #expect(machine.next(after: .begin) == .extendImage(amount))
        #expect(
            machine.next(after: .imageAnswered(.extended(amount, epoch: 5))) == .raiseRow(amount, epoch: 5))
        #expect(machine.next(after: .rowAnswered(.raised)) == .finish(amount))
    }

    @Test func `the row is raised to what the image has taken, and that is held`() {
        let taken = Money(nanodollars: 33)
        var machine = ExtendMachine(to: amount)
        #expect(machine.next(after: .begin) == .extendImage(amount))
        #expect(
            machine.next(after: .imageAnswered(.extended(taken, epoch: 5))) == .raiseRow(taken, epoch: 5))
        #expect(machine.next(after: .rowAnswered(.raised)) == .finish(taken))
    }

    @Test func `a row that is fenced drops the stale image and asks the next`() {
        var machine = ExtendMachine(to: amount)
        _ = machine.next(after: .begin)
        #expect(machine.next(after: .rowAnswered(.fenced)) == .readStanding)
        #expect(machine.next(after: .standing(standing)) == .drop(standing))
        #expect(machine.next(after: .dropped) == .extendImage(amount))
        #expect(machine.next(after: .imageAnswered(.missing)) == .rebuild)
        #expect(machine.next(after: .rebuilt) == .extendImage(amount))
    }

    @Test func `without money the stream ends with what it has`() {
        var machine = ExtendMachine(to: amount)
        let refusal = ExtendReply.refused(epoch: 5, creditSequence: 2, limitsVersion: 3)
        #expect(machine.next(after: .imageAnswered(refusal)) == .readStanding)
        #expect(machine.next(after: .standing(standing)) == .refuse)
    }

    @Test(arguments: [(Int64(4), Int64(2), Int64(3)), (5, 1, 3), (5, 2, 2)])
    func `an image that knows less than the ledger is not believed to have nothing left`(
        epoch: Int64, credits: Int64, limits: Int64
    ) {
        var machine = ExtendMachine(to: amount)
        let refusal = ExtendReply.refused(epoch: epoch, creditSequence: credits, limitsVersion: limits)
        #expect(machine.next(after: .imageAnswered(refusal)) == .readStanding)
        #expect(machine.next(after: .standing(standing)) == .drop(standing))
        #expect(machine.next(after: .dropped) == .extendImage(amount))
    }

    @Test func `a row that is fenced after a refusal is not taken for a refusal`() {
        var machine = ExtendMachine(to: amount)
        let refusal = ExtendReply.refused(epoch: 5, creditSequence: 2, limitsVersion: 3)
        _ = machine.next(after: .imageAnswered(refusal))
        #expect(machine.next(after: .rowAnswered(.fenced)) == .readStanding)
        #expect(machine.next(after: .standing(standing)) == .drop(standing))
    }

    @Test func `a hold that another has ended is not extended`() {
        var machine = ExtendMachine(to: amount)
        #expect(machine.next(after: .imageAnswered(.gone)) == .overruled)
        #expect(machine.next(after: .rowAnswered(.ended)) == .overruled)
    }

    @Test func `nothing more may be delivered when it is not known whether the row was raised`() {
        var machine = ExtendMachine(to: amount)
        for event in [ExtendMachine.Event.rowAnswered(.unknown), .rowAnswered(.failed), .failed] {
            #expect(machine.next(after: event) == .fail)
        }
    }

    @Test func `an image that keeps changing is given up after as many rounds as allowed`() {
        var machine = ExtendMachine(to: amount, roundsMax: 2)
        #expect(machine.next(after: .begin) == .extendImage(amount))
        #expect(machine.next(after: .imageAnswered(.late)) == .extendImage(amount))
        #expect(machine.next(after: .imageAnswered(.late)) == .fail)
    }
}
