import Testing

@testable import Gateway

@Suite struct TrimMomentTests {
    private func moments(_ seconds: [(workers: Int, closed: Int)]) -> [Bool] {
        var moment = TrimMoment()
        return seconds.map { moment.hasCome(workers: $0.workers, closed: $0.closed) }
    }

    @Test func `it comes once, when half of the workers have ended and no more do`() {
        let workers = [8, 100, 70, 50, 40, 40, 40, 40]
        #expect(
            moments(workers.map { ($0, 0) }) == [false, false, false, false, false, true, false, false])
    }

    @Test func `it waits for connections that are being closed`() {
        #expect(
            moments([(100, 0), (8, 3), (8, 3), (8, 0), (8, 0)]) == [false, false, false, true, false])
    }

    @Test func `each load has its own`() {
        #expect(
            moments([100, 8, 8, 8, 60, 8, 8].map { ($0, 0) })
                == [false, false, true, false, false, false, true])
    }

    @Test func `a process that does nothing has none`() {
        #expect(moments([0, 0, 0, 0].map { ($0, 0) }) == [false, false, false, false])
        #expect(moments([8, 8, 8].map { ($0, 0) }) == [false, false, false])
    }
}
