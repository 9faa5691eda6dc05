import Core
import Threads

/// A load as it was run, with what it brought and what it took.
package struct LoadResult: Sendable {
    /// What was asked: `direct` (the provider itself), `plain` or `streamed`.
    package let name: String
    /// How many requests at the same time.
    package let concurrency: Int
    /// What came of it.
    package let figures: LoadFigures
    /// What the installation did meanwhile.
    package let observation: Observation
}

/// Everything that a run of loads found.
package struct BenchResult: Sendable {
    /// The loads, in their order.
    package fileprivate(set) var loads: [LoadResult] = []
    /// The slow streams, and what the installation did meanwhile.
    package fileprivate(set) var slow: (figures: StreamFigures, observation: Observation)?
    /// What tollgated had before the first load.
    package fileprivate(set) var memoryIdle: MemoryFigures?
    /// What tollgated had some time after the last load.
    package fileprivate(set) var memoryAfter: MemoryFigures?
    /// What the gateway was asked for.
    package fileprivate(set) var asked = RequestBounds()

    /// The loads of one name.
    package func loads(_ name: String) -> [LoadResult] { loads.filter { $0.name == name } }
}

/// How many requests must have been charged, and how much, by our own count.
///
/// A load that ends leaves up to one unanswered request on each connection; it may be charged or not.
package struct RequestBounds: Sendable {
    /// Requests that were answered.
    package private(set) var answered: Int64 = 0
    /// The most that may have been charged without an answer.
    package private(set) var unanswered: Int64 = 0
    /// What the answered ones cost; nil when the prices of their answers are not known.
    package private(set) var chargeMin: Int64? = 0
    /// What all may cost at most.
    package private(set) var chargeMax: Int64? = 0

    /// Counts requests of one price.
    mutating func add(answered: Int64, unanswered: Int64, cost: Money?) {
        self.answered += answered
        self.unanswered += unanswered
        let sum = chargeMin.flatMap { sum in cost.map { sum + answered * $0.nanodollars } }
        chargeMax = chargeMax.flatMap { sum in cost.map { sum + (answered + unanswered) * $0.nanodollars } }
        chargeMin = sum
    }
}

/// Which loads are run, and against what.
package struct BenchPlan: Sendable {
    /// The gateway.
    package var gateway: ChatTarget
    /// The gateway, with a model that answers slowly.
    package var slow: ChatTarget
    /// The provider itself; nil when added latency is not asked for.
    package var direct: ChatTarget?
    /// How long each load runs.
    package var seconds: Int
    /// How many plain requests at the same time, one load each.
    package var concurrencies: [Int]
    /// How many streams without delay at the same time; 0 for no such load.
    package var streamConcurrency: Int
    /// How many slow streams; 0 for none.
    package var slowStreams: Int
    /// How many slow streams are opened in a second; 0 for as many as can be.
    package var slowStreamsPerSecond: Int
    /// How long to wait before memory is looked at for the last time.
    package var settleSeconds: Int

    /// Creates a plan.
    package init(
        gateway: ChatTarget, slow: ChatTarget, direct: ChatTarget?, seconds: Int, concurrencies: [Int],
        streamConcurrency: Int, slowStreams: Int, slowStreamsPerSecond: Int, settleSeconds: Int
    ) {
        self.gateway = gateway
        self.slow = slow
        self.direct = direct
        self.seconds = seconds
        self.concurrencies = concurrencies
        self.streamConcurrency = streamConcurrency
        self.slowStreams = slowStreams
        self.slowStreamsPerSecond = slowStreamsPerSecond
        self.settleSeconds = settleSeconds
    }

    /// Runs all loads, one after another.
    ///
    /// - Parameter progress: Is told what begins.
    package func run(
        with generator: LoadGenerator, observer: Observer, progress: (String) -> Void
    ) throws(BenchError) -> BenchResult {
        DescriptorLimit.raise()
        var result = BenchResult()
        let cost = try probe(gateway, &result)
        result.memoryIdle = observer.memory
        progress("warming up")
        let warmUp = try generator.run(gateway, isStream: false, concurrency: 8, seconds: 1)
        result.asked.add(answered: warmUp.requests - warmUp.refused, unanswered: 8 + warmUp.lost, cost: cost)
        func load(_ name: String, _ target: ChatTarget, _ concurrency: Int) throws(BenchError) {
            progress("\(name), \(concurrency) at once, \(seconds) s")
            let (isStream, seconds) = (name == "streamed", seconds)
            let (figures, observation) = try observer.watch { () throws(BenchError) in
                try generator.run(target, isStream: isStream, concurrency: concurrency, seconds: seconds)
            }
            result.loads.append(
                LoadResult(name: name, concurrency: concurrency, figures: figures, observation: observation))
            guard name != "direct" else { return }
            result.asked.add(
                answered: figures.requests - figures.refused,
                unanswered: Int64(concurrency) + figures.lost + figures.refused, cost: cost)
        }
        if let direct, concurrencies.contains(1) { try load("direct", direct, 1) }
        for concurrency in concurrencies { try load("plain", gateway, concurrency) }
        if streamConcurrency > 0 { try load("streamed", gateway, streamConcurrency) }
        if slowStreams > 0 { try runSlowStreams(observer, progress, &result) }
        if result.memoryIdle != nil {
            progress("waiting \(settleSeconds) s for memory to settle")
            _ = Signal().wait(until: .after(seconds: settleSeconds))
            result.memoryAfter = observer.memory
        }
        return result
    }

    private func runSlowStreams(
        _ observer: Observer, _ progress: (String) -> Void, _ result: inout BenchResult
    ) throws(BenchError) {
        progress("\(slowStreams) slow streams")
        let cost = try probe(slow, &result)
        let streams = try StreamLoad(slow)
        // The first one tells how many events there are.
        let first = try streams.run(count: 1, perSecond: 0, events: nil)
        guard first.complete == 1 else {
            throw .failed("the first stream of \(slow.model) failed: \(first.failures.keys.first ?? "")")
        }
        let (count, perSecond) = (slowStreams, slowStreamsPerSecond)
        let (figures, observation) = try observer.watch { () throws(BenchError) in
            try streams.run(count: count, perSecond: perSecond, events: first.events)
        }
        result.slow = (figures, observation)
        result.asked.add(
            answered: Int64(figures.complete + 1), unanswered: Int64(figures.streams - figures.complete),
            cost: cost)
    }

    /// Asks once, so that a mistake is told before any load, and learns what an answer costs.
    private func probe(_ target: ChatTarget, _ result: inout BenchResult) throws(BenchError) -> Money? {
        let cost = try target.probe()
        // Only the simulated provider answers the same question with the same number of tokens each time.
        let known = target.model.hasPrefix("sim-") ? cost : nil
        result.asked.add(answered: 1, unanswered: 0, cost: known)
        return known
    }
}
