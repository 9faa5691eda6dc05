import Glibc
import Testing

/// The protocol under faults at every effect, in many orders.
///
/// `TOLLGATE_SIMULATION_SEED` runs one seed again and tells all that it did; `TOLLGATE_SIMULATION_STEPS` says how many steps there
/// are in all.
@Suite struct SimulationTests {
    private static func number(_ variable: String) -> UInt64? {
        getenv(variable).flatMap { UInt64(String(cString: $0)) }
    }

    @Test(arguments: 0..<4)
    func `whatever fails, and whenever, every invariant holds`(part: UInt64) {
        guard Self.number("TOLLGATE_SIMULATION_SEED") == nil else { return }
        let stepsMin = Int(Self.number("TOLLGATE_SIMULATION_STEPS") ?? 1_200_000) / 4
        var steps = 0
        var seed = part * 1_000_000_000
        while steps < stepsMin {
            seed += 1
            let simulation = Simulation(seed: seed, options: .drawn(from: seed))
            simulation.run()
            steps += simulation.steps
            guard simulation.violation == nil else {
                Issue.record("\(Replay(seed: seed))")
                return
            }
        }
    }

    @Test func `a seed runs the same way again`() {
        for seed in UInt64(1)...20 {
            let first = Simulation(seed: seed, options: .drawn(from: seed))
            first.run()
            let second = Simulation(seed: seed, options: .drawn(from: seed))
            second.run()
            #expect(
                first.steps == second.steps && first.ledger == second.ledger && first.redis == second.redis)
        }
        guard let seed = Self.number("TOLLGATE_SIMULATION_SEED") else { return }
        Issue.record("\(Replay(seed: seed))")
    }

    @Test func `the runs come to everything that can happen`() {
        var reached = [Int](repeating: 0, count: Landmark.allCases.count)
        for seed in UInt64(1)...2_000 {
            let simulation = Simulation(seed: seed, options: Simulation.Options())
            simulation.run()
            for index in reached.indices { reached[index] += simulation.landmarks[index] }
        }
        for landmark in Landmark.allCases {
            #expect(reached[landmark.rawValue] > 0, "\(landmark)")
        }
    }

    /// I20.
    @Test(arguments: [false, true])
    func `of requests at once exactly as many are admitted as the balance pays for`(isInLedger: Bool) {
        for seed in UInt64(1)...300 {
            var options = Simulation.Options()
            let each = Int64(1 + seed % 7)
            options.onlyHolds = (balance: Int64(seed % 31), each: each)
            options.hasFaults = false
            options.isInLedger = isInLedger
            options.credits = 0
            options.stepsMax = 5_000
            let simulation = Simulation(seed: seed, options: options)
            simulation.run()
            #expect(simulation.violation == nil)
            let payable = min(options.tracesMax, Int(Int64(seed % 31) / each))
            #expect(simulation.admissions == payable, "seed \(seed)")
            #expect(simulation.refusals == options.tracesMax - payable, "seed \(seed)")
        }
    }
}

/// The protocol with one decision broken: if the simulator did not find that, it would find nothing.
@Suite struct BreakageTests {
    /// How many steps it may take until a broken decision is found: as many as a normal run has.
    private static let stepsMax = 1_000_000

    @Test(arguments: Breakage.allCases)
    func `a broken decision makes the books wrong, and that is seen`(breakage: Breakage) {
        var options = Simulation.Options()
        options.breakage = breakage
        options.checked = breakage.invariants
        var steps = 0
        var seed: UInt64 = 0
        while steps < Self.stepsMax {
            seed += 1
            let simulation = Simulation(seed: seed, options: options)
            simulation.run()
            steps += simulation.steps
            if let violation = simulation.violation {
                print("\(breakage) found at seed \(seed), step \(steps): \(violation)")
                return
            }
        }
        Issue.record("\(breakage) was not found in \(seed) seeds, \(steps) steps")
    }
}

/// A run with all that it did, for people.
private struct Replay: CustomStringConvertible {
    let description: String

    init(seed: UInt64) {
        let simulation = Simulation(seed: seed, options: .drawn(from: seed))
        simulation.trail = []
        simulation.run()
        let result = "\(simulation.violation ?? "no violation") after \(simulation.steps) steps"
        description =
            (["TOLLGATE_SIMULATION_SEED=\(seed): \(result)"] + (simulation.trail ?? []))
            .joined(separator: "\n")
    }
}
