import Glibc
import TestTools
import Testing

@testable import Threads

@Suite struct BatchLaneTests {
    /// Batches as they were run.
    private final class Journal: Sendable {
        private let entries = Locked<[[Int]]>([])
        private let running = Counter()
        let overlaps = Counter()

        var batches: [[Int]] { entries.withLock { $0 } }

        func run(_ batch: [Int]) -> [Int] {
            if running.add() > 1 { overlaps.add() }
            entries.withLock { $0.append(batch) }
            running.add(-1)
            return batch.map { $0 * 10 }
        }
    }

    @Test
    func
        `64 threads with 2,000 items each: every item once, every outcome to its owner, never two batches at once`()
        throws
    {
        let journal = Journal()
        let lane = BatchLane<Int, Int>(itemsMax: 100, waitingMax: 64) { journal.run($0) }
        let wrong = Counter()
        let threads = try (0..<64).map { thread in
            try WorkerThread(name: "caller") {
                for number in 0..<2_000 {
                    let item = thread * 2_000 + number
                    if lane.submit(item) != item * 10 { wrong.add() }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(wrong.value == 0)
        #expect(journal.overlaps.value == 0)
        #expect(journal.batches.flatMap { $0 }.sorted() == Array(0..<128_000))
        #expect(journal.batches.allSatisfy { (1...100).contains($0.count) })
    }

    @Test func `a lone caller waits for nobody and runs its batch itself`() {
        let own = pthread_self()
        let elsewhere = Counter()
        let lane = BatchLane<Int, Int>(itemsMax: 100, waitingMax: 10) { batch in
            if pthread_self() != own { elsewhere.add() }
            return batch
        }
        let started = Deadline.now
        for item in 0..<1_000 { #expect(lane.submit(item) == item) }
        // A wait for company, were it only ten milliseconds, would take ten seconds.
        #expect(started.elapsedNanoseconds < 5_000_000_000)
        #expect(elsewhere.value == 0)
    }

    @Test
    func `what comes while a batch runs goes into full batches after it, and what is too much is refused`()
        throws
    {
        let journal = Journal()
        let started = Signal()
        let gate = Signal()
        let runs = Counter()
        let lane = BatchLane<Int, Int>(itemsMax: 3, waitingMax: 7) { batch in
            if runs.add() == 1 {
                started.wake()
                gate.wait()
            }
            return journal.run(batch)
        }
        let refused = Counter()
        let answered = Counter()
        let call = { (item: Int) in
            try WorkerThread(name: "caller") {
                let outcome = lane.submit(item)
                if outcome == nil { refused.add() }
                if outcome == item * 10 { answered.add() }
            }
        }
        let first = try call(0)
        #expect(started.wait(until: .after(seconds: 30)))
        let others = try (1...20).map { try call($0) }
        // Seven wait when the other thirteen have been refused.
        #expect(Eventually.holds { refused.value == 13 })
        gate.wake()
        for thread in [first] + others { thread.join() }
        #expect(answered.value == 8)
        #expect(journal.batches.map(\.count) == [1, 3, 3, 1])
        #expect(Set(journal.batches.flatMap { $0 }).count == 8)
        // Nothing of the crowd is left behind.
        #expect(lane.submit(21) == 210)
    }
}
