import ProviderSimulator
import Testing
import Threads

@testable import Bench

/// Many streams at once, from a simulated provider without a gateway.
@Suite struct StreamLoadTests {
    private let provider: SimulatedProvider
    private let thread: WorkerThread

    init() throws {
        let provider = try SimulatedProvider()
        self.provider = provider
        thread = try WorkerThread(name: "simulator") { provider.run() }
    }

    private func run(
        _ model: String, count: Int, perSecond: Int = 0, events: Int? = nil, silenceSecondsMax: Int = 20
    ) throws -> StreamFigures {
        defer {
            provider.stop()
            thread.join()
        }
        var load = try StreamLoad(
            ChatTarget(api: "http://localhost:\(provider.port)/v1", key: nil, model: model))
        load.silenceSecondsMax = silenceSecondsMax
        return try load.run(count: count, perSecond: perSecond, events: events)
    }

    @Test func `slow streams all come whole and in order, at the same time`() throws {
        let figures = try run("sim-slow", count: 50, events: 32)
        #expect(figures.streams == 50)
        #expect(figures.complete == 50)
        #expect(figures.failures == [:])
        #expect(figures.events == 32)
        #expect(figures.mostAtOnce == 50)
        // 31 pauses of 50 ms.
        #expect(figures.seconds >= 1.55)
        #expect(figures.firstEventMilliseconds.count == 50)
        #expect(figures.firstEventMilliseconds == figures.firstEventMilliseconds.sorted())
        #expect(figures.longestGapMilliseconds.percentile(50) >= 45)
    }

    @Test func `streams are opened no faster than asked`() throws {
        let figures = try run("sim-ok", count: 11, perSecond: 20, events: 16)
        #expect(figures.complete == 11)
        #expect(figures.seconds >= 0.5)
    }

    @Test(arguments: [
        ("sim-cut", "cut after 3 events"), ("sim-500", "status 500"), ("sim-garbage", "cut after 0 events"),
    ])
    func `what goes wrong is counted by its reason`(model: String, reason: String) throws {
        let figures = try run(model, count: 5)
        #expect(figures.complete == 0)
        #expect(figures.failures == [reason: 5])
    }

    @Test func `other events than expected are a failure`() throws {
        #expect(try run("sim-ok", count: 2, events: 15).failures == ["cut after 16 events": 2])
    }

    @Test func `silence is given up`() throws {
        let figures = try run("sim-hang", count: 3, silenceSecondsMax: 1)
        #expect(figures.failures == ["nothing came for 1 seconds": 3])
    }

    @Test func `a port where nobody listens is told`() throws {
        provider.stop()
        thread.join()
        // Nobody listens on port 1 of a loopback address that only this test uses.
        let load = try StreamLoad(ChatTarget(api: "http://127.77.0.1:1/v1", key: nil, model: "m"))
        let figures = try load.run(count: 2, perSecond: 0, events: nil)
        #expect(figures.failures == ["no connection: Connection refused": 2])
    }

    @Test func `the value that half of the values do not pass`() {
        #expect([Double]().percentile(50) == 0)
        #expect([1.0, 2, 3].percentile(50) == 2)
        #expect((1...100).map { Double($0) }.percentile(99) == 100)
    }
}
