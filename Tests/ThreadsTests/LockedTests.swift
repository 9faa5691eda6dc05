import Glibc
import Testing
import Threads

@Suite struct LockedTests {
    private struct Refused: Error {}

    @Test func `of many threads one at a time uses the value`() throws {
        let pair = Locked((first: 0, second: 0))
        let torn = Counter()
        let threads = try (0..<8).map { number in
            try WorkerThread(name: "locked-\(number)") {
                for _ in 0..<2_000 {
                    pair.withLock { pair in
                        if pair.first != pair.second { torn.add() }
                        pair.first += 1
                        sched_yield()
                        pair.second += 1
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(torn.value == 0)
        #expect(pair.withLock { $0 } == (16_000, 16_000))
    }

    @Test func `an error leaves the lock open and the value as it was when it was thrown`() throws {
        let number = Locked(1)
        #expect(throws: Refused.self) {
            try number.withLock { number throws(Refused) in
                number = 2
                throw Refused()
            }
        }
        #expect(number.withLock { $0 } == 2)
    }

    @Test func `the value is released with its lock`() {
        weak var kept: Counter?
        do {
            let locked = Locked(Counter())
            locked.withLock { kept = $0 }
            #expect(kept != nil)
        }
        #expect(kept == nil)
    }
}
