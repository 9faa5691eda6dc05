import Core
import Ledger
import Quota
import Settlement
import Testing

/// The machines of rebuilding an image and of adding a credit.
@Suite struct RebuildMachineTests {
    // MARK: - Rebuilding

    @Test func `the epoch is raised above the image seen, and only then the snapshot read`() {
        var machine = RebuildMachine()
        #expect(name(machine.next(after: .begin)) == "identify")
        #expect(name(machine.next(after: .identified)) == "takeLease")
        guard case .raiseEpoch(above: 6) = machine.next(after: .leaseAnswered(.taken(epochSeen: 6))) else {
            Issue.record("the epoch is not raised")
            return
        }
        #expect(name(machine.next(after: .epochRaised(9))) == "readSnapshot")
        guard case .install(epoch: 9) = machine.next(after: .snapshotRead(isKnown: true)) else {
            Issue.record("nothing is installed")
            return
        }
        #expect(name(machine.next(after: .installAnswered(.installed, isLate: true))) == "finish")
    }

    @Test func `an image that stands is left alone`() {
        var machine = RebuildMachine()
        #expect(name(machine.next(after: .leaseAnswered(.warm))) == "finish")
        #expect(name(machine.next(after: .installAnswered(.newer, isLate: false))) == "finish")
    }

    @Test func `while another rebuilds it waits and asks anew which Redis answers`() {
        var machine = RebuildMachine()
        #expect(name(machine.next(after: .leaseAnswered(.busy))) == "pause")
        #expect(name(machine.next(after: .paused(isLate: false))) == "identify")
        #expect(name(machine.next(after: .paused(isLate: true))) == "fail")
    }

    @Test func `a lost lease begins anew until it is too late`() {
        var machine = RebuildMachine()
        #expect(name(machine.next(after: .installAnswered(.lost, isLate: false))) == "identify")
        #expect(name(machine.next(after: .installAnswered(.lost, isLate: true))) == "fail")
    }

    @Test func `an epoch that another change of the mode refuses begins anew with the life's new number`() {
        var machine = RebuildMachine()
        #expect(name(machine.next(after: .modeChanged(isLate: false))) == "identify")
        #expect(name(machine.next(after: .modeChanged(isLate: true))) == "fail")
    }

    @Test func `a tenant that the ledger does not know has no image`() {
        var machine = RebuildMachine()
        for event in [RebuildMachine.Event.epochRaised(nil), .snapshotRead(isKnown: false)] {
            guard case .fail(.unknownTenant) = machine.next(after: event) else {
                Issue.record("\(event)")
                return
            }
        }
    }

    // MARK: - Credits

    @Test func `a credit is in the ledger before the image has it`() {
        var machine = CreditMachine()
        #expect(name(machine.next(after: .begin)) == "addToLedger")
        guard case .apply(sequence: 4) = machine.next(after: .added(.added(sequence: 4))) else {
            Issue.record("the image is not told")
            return
        }
        guard case .closeTask(sequence: 4) = machine.next(after: .applied(.applied(balance: .zero))) else {
            Issue.record("its task stays open")
            return
        }
        guard case .finish(.added(sequence: 4)) = machine.next(after: .taskClosed) else {
            Issue.record("it is not finished")
            return
        }
    }

    @Test func `a credit that the ledger had is given to the image all the same`() {
        var machine = CreditMachine()
        #expect(name(machine.next(after: .added(.repeated(sequence: 4)))) == "apply")
        #expect(name(machine.next(after: .applied(.done(balance: .zero)))) == "closeTask")
    }

    @Test(arguments: [CreditOutcome.conflict(.zero), .unknownTenant, .beyondLimit])
    func `what is not added to the ledger is not given to the image`(outcome: CreditOutcome) {
        var machine = CreditMachine()
        #expect(name(machine.next(after: .added(outcome))) == "finish")
    }

    @Test func `a missing image leaves the credit open: it is rebuilt and asked again`() {
        var machine = CreditMachine()
        _ = machine.next(after: .added(.added(sequence: 4)))
        #expect(name(machine.next(after: .applied(.missing))) == "rebuild")
        #expect(name(machine.next(after: .rebuilt)) == "apply")
    }

    @Test func `what the image lacks comes first`() {
        var machine = CreditMachine()
        _ = machine.next(after: .added(.added(sequence: 4)))
        guard case .catchUp(after: 1, before: 4) = machine.next(after: .applied(.gap(known: 1))) else {
            Issue.record("nothing is caught up")
            return
        }
        #expect(name(machine.next(after: .caughtUp)) == "apply")
    }

    @Test func `an image that does not answer is left to the task, and the credit is added`() {
        var machine = CreditMachine()
        _ = machine.next(after: .added(.added(sequence: 4)))
        guard case .finish(.added(sequence: 4)) = machine.next(after: .imageFailed(.unavailable(""))) else {
            Issue.record("whoever adds it is told of a failure")
            return
        }
    }

    @Test func `a task whose image does not answer is put back, and not taken as done`() {
        var machine = CreditMachine(taskOf: 4)
        guard case .apply(sequence: 4) = machine.next(after: .begin) else {
            Issue.record("the ledger is asked for what it has")
            return
        }
        #expect(name(machine.next(after: .imageFailed(.unavailable("")))) == "fail")
    }

    @Test func `an image that keeps changing is given up after as many rounds as allowed`() {
        var machine = CreditMachine(taskOf: 4, roundsMax: 3)
        var action = machine.next(after: .begin)
        var rounds = 0
        while name(action) == "apply" {
            rounds += 1
            _ = machine.next(after: .applied(.missing))
            action = machine.next(after: .rebuilt)
        }
        #expect(rounds == 3)
        #expect(name(action) == "fail")
    }
}
