import Ledger
import Settlement
import Testing

/// The machines of the installation's mode, and of where one reservation is made.
@Suite struct ModeMachineTests {
    private static let redis = InstallationMode(isDatabase: false, change: 4)
    private static let database = InstallationMode(isDatabase: true, change: 5)

    /// A process that gives Redis up after 5 s, and to which a command may come 600 ms late.
    private func machine(mayEnter: Bool = true) -> ModeMachine {
        ModeMachine(
            ModeMachine.Rule(mayEnter: mayEnter, afterMilliseconds: 5_000, lateMilliseconds: 600))
    }

    /// One round: what is done after Redis was looked at.
    private func look(
        _ machine: inout ModeMachine, _ mode: InstallationMode?, isWell: Bool, at moment: Int64
    ) -> ModeMachine.Action {
        #expect(machine.next(after: .paused) == .readMode)
        #expect(machine.next(after: .modeRead(mode)) == .probeRedis)
        return machine.next(after: .redisProbed(isWell: isWell, atMilliseconds: moment))
    }

    @Test func `Redis is given up when it was lost for long enough and nothing sent can come any more`() {
        var machine = machine()
        #expect(look(&machine, Self.redis, isWell: false, at: 1_000) == .pause(milliseconds: 250))
        #expect(look(&machine, Self.redis, isWell: false, at: 5_999) == .pause(milliseconds: 250))
        #expect(machine.side == .image)
        #expect(look(&machine, Self.redis, isWell: false, at: 6_000) == .pause(milliseconds: 600))
        #expect(machine.side == .nowhere)
        #expect(look(&machine, Self.redis, isWell: false, at: 6_599) == .pause(milliseconds: 250))
        #expect(look(&machine, Self.redis, isWell: false, at: 6_600) == .enter(after: 4))
        #expect(machine.side == .nowhere)
        #expect(machine.next(after: .written) == .readMode)
        #expect(machine.next(after: .modeRead(Self.database)) == .pause(milliseconds: 250))
        #expect(machine.side == .ledger)
    }

    @Test func `one answer of Redis begins the count anew`() {
        var machine = machine()
        _ = look(&machine, Self.redis, isWell: false, at: 0)
        _ = look(&machine, Self.redis, isWell: false, at: 5_000)
        #expect(machine.side == .nowhere)
        #expect(look(&machine, Self.redis, isWell: true, at: 5_500) == .pause(milliseconds: 1_000))
        #expect(machine.side == .image)
        _ = look(&machine, Self.redis, isWell: false, at: 6_000)
        #expect(look(&machine, Self.redis, isWell: false, at: 10_999) == .pause(milliseconds: 250))
        #expect(machine.side == .image)
    }

    @Test func `a process that refuses instead never begins the mode, and obeys it`() {
        var machine = machine(mayEnter: false)
        for moment in stride(from: Int64(0), to: 100_000, by: 5_000) {
            #expect(look(&machine, Self.redis, isWell: false, at: moment) == .pause(milliseconds: 250))
            #expect(machine.side == .image)
        }
        #expect(look(&machine, Self.database, isWell: false, at: 100_000) == .noteLost(after: 5))
        #expect(machine.side == .ledger)
    }

    @Test func `the mode is left after as long a time without a failure`() {
        var machine = machine()
        #expect(look(&machine, Self.database, isWell: true, at: 0) == .pause(milliseconds: 250))
        #expect(look(&machine, Self.database, isWell: false, at: 4_000) == .noteLost(after: 5))
        _ = machine.next(after: .written)
        #expect(look(&machine, Self.database, isWell: true, at: 4_500) == .pause(milliseconds: 250))
        #expect(look(&machine, Self.database, isWell: true, at: 9_499) == .pause(milliseconds: 250))
        #expect(
            look(&machine, Self.database, isWell: true, at: 9_500)
                == .leave(after: 5, healthyMilliseconds: 5_000))
        #expect(machine.side == .ledger)
        #expect(machine.next(after: .written) == .readMode)
        let left = InstallationMode(isDatabase: false, change: 6)
        #expect(machine.next(after: .modeRead(left)) == .pause(milliseconds: 1_000))
        #expect(machine.side == .image)
    }

    @Test func `a mode that cannot be read is believed to be as it was, and is not changed`() {
        var machine = machine()
        _ = look(&machine, Self.database, isWell: false, at: 0)
        #expect(look(&machine, nil, isWell: true, at: 1_000) == .pause(milliseconds: 1_000))
        #expect(look(&machine, nil, isWell: true, at: 90_000) == .pause(milliseconds: 1_000))
        #expect(machine.side == .ledger)
    }

    // MARK: - The way of one reservation

    @Test func `a reservation goes where its process believes that it belongs`() {
        var route = ReserveRoute()
        #expect(name(route.next(after: .begin(.image))) == "image")
        #expect(name(route.next(after: .begin(.ledger))) == "ledger")
        #expect(name(route.next(after: .begin(.nowhere))) == "fail")
    }

    @Test(arguments: [ReserveRoute.Event.imageClosed, .ledgerClosed])
    func `whoever finds a side closed asks which one is open, and not for ever`(closed: ReserveRoute.Event) {
        var route = ReserveRoute()
        for _ in 0..<3 {
            #expect(name(route.next(after: closed)) == "readMode")
            #expect(name(route.next(after: .modeRead(Self.database))) == "ledger")
        }
        #expect(name(route.next(after: closed)) == "fail")
        #expect(name(route.next(after: .modeRead(Self.redis))) == "image")
        #expect(name(route.next(after: .modeRead(nil))) == "fail")
    }

    private func name(_ action: ReserveRoute.Action) -> String {
        switch action {
        case .useImage: "image"
        case .useLedger: "ledger"
        case .readMode: "readMode"
        case .fail: "fail"
        }
    }
}
