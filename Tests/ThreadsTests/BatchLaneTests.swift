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
        for item in 0..<10_000 { #expect(lane.submit(item) == item) }
        // A wait for company, were it only a millisecond, would take ten seconds.
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

    @Test func `whoever is answered first goes on while the rest of the batch is done`() throws {
        let early = Signal()
        let lane = BatchLane<Int, Int>(itemsMax: 10, waitingMax: 10) { batch in
            guard batch.count > 1 else {
                // Until the two others wait, to be a batch together.
                if batch[0] == 0 { _ = early.wait(until: .after(seconds: 30)) }
                return batch.answer(0, batch[0])
            }
            batch.answer(1, batch[1])
            // Only the owner of what was just answered wakes us.
            batch.answer(0, early.wait(until: .after(seconds: 30)) ? batch[0] : -1)
        }
        let outcomes = Locked<[Int?]>([])
        let call = { (item: Int) in
            try WorkerThread(name: "caller") {
                let outcome = lane.submit(item)
                outcomes.withLock { $0.append(outcome) }
                if item == 2 { early.wake() }
            }
        }
        let first = try call(0)
        while lane.state.withLock({ !$0.isLed }) { usleep(100) }
        let leader = try call(1)
        while lane.state.withLock({ $0.waiting.count < 1 }) { usleep(100) }
        let answered = try call(2)
        while lane.state.withLock({ $0.waiting.count < 2 }) { usleep(100) }
        early.wake()
        for thread in [first, leader, answered] { thread.join() }
        #expect(outcomes.withLock { $0 }.compactMap { $0 }.sorted() == [0, 1, 2])
    }

    @Test func `the next batch begins when the lead is passed, and the one before it ends`() throws {
        let second = Signal()
        let lane = BatchLane<Int, Bool>(itemsMax: 1, waitingMax: 10) { batch in
            if batch[0] == 0 {
                batch.passLead()
                batch.answer(0, second.wait(until: .after(seconds: 30)))
            } else {
                second.wake()
                batch.answer(0, true)
            }
        }
        let outcome = Locked<Bool?>(nil)
        let first = try WorkerThread(name: "caller") {
            let own = lane.submit(0)
            outcome.withLock { $0 = own }
        }
        // It waits for the second batch, wherever in the first one it comes.
        #expect(lane.submit(1) == true)
        first.join()
        #expect(outcome.withLock { $0 } == true)
    }
}
