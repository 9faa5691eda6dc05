import Core
import Settlement
import Testing

/// The machine of extending a hold while its stream runs.
@Suite struct ExtendMachineTests {
    private let amount = Money(nanodollars: 40)

    @Test func `the image is asked first, and the row raised under the epoch that it told`() {
        var machine = ExtendMachine(to: amount)
        #expect(machine.next(after: .begin) == .extendImage(amount))
        #expect(machine.next(after: .imageAnswered(.extended(epoch: 5))) == .raiseRow(amount, epoch: 5))
        #expect(machine.next(after: .rowAnswered(.raised)) == .finish(amount))
    }

    @Test func `a row that is fenced drops the stale image and asks the next`() {
        var machine = ExtendMachine(to: amount)
        _ = machine.next(after: .begin)
        #expect(machine.next(after: .rowAnswered(.fenced)) == .dropStale)
        #expect(machine.next(after: .dropped) == .extendImage(amount))
        #expect(machine.next(after: .imageAnswered(.missing)) == .rebuild)
        #expect(machine.next(after: .rebuilt) == .extendImage(amount))
    }

    @Test func `without money the stream ends with what it has`() {
        var machine = ExtendMachine(to: amount)
        #expect(machine.next(after: .imageAnswered(.refused)) == .refuse)
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
