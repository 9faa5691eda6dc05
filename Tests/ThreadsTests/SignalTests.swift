import Testing
import Threads

@Suite struct SignalTests {
    @Test func `a wake-up that comes before the wait is kept`() {
        let signal = Signal()
        signal.wake()
        #expect(signal.wait(until: .now))
        #expect(!signal.wait(until: .now))
    }

    @Test func `each wake-up ends one wait`() {
        let signal = Signal()
        for _ in 0..<3 { signal.wake() }
        signal.wait()
        #expect(signal.wait(until: .never))
        #expect(signal.wait(until: .now))
        #expect(!signal.wait(until: .now))
    }

    @Test func `a wait without a wake-up ends at its deadline and not before`() {
        let deadline = Deadline.after(milliseconds: 30)
        #expect(!Signal().wait(until: deadline))
        #expect(deadline.isPast)
    }

    @Test(arguments: [Int64.min, -1, 0])
    func `a deadline long past ends a wait at once`(nanoseconds: Int64) {
        #expect(!Signal().wait(until: Deadline(nanoseconds: nanoseconds)))
    }

    @Test func `a thread that waits is woken by another`() throws {
        let signal = Signal()
        let woken = Counter()
        let ended = Signal()
        let thread = try WorkerThread(name: "waiter") {
            if signal.wait(until: .after(seconds: 30)) { woken.add() }
            ended.wake()
        }
        #expect(!ended.wait(until: .after(milliseconds: 20)))
        signal.wake()
        #expect(ended.wait(until: .after(seconds: 30)))
        thread.join()
        #expect(woken.value == 1)
    }

    @Test func `as many waiting threads are woken as there were wake-ups`() throws {
        let signal = Signal()
        let woken = Counter()
        let threads = try (0..<8).map { _ in
            try WorkerThread(name: "waiter") {
                if signal.wait(until: .after(seconds: 5)) { woken.add() }
            }
        }
        for _ in 0..<8 { signal.wake() }
        for thread in threads { thread.join() }
        #expect(woken.value == 8)
    }

    private final class Note: @unchecked Sendable {
        // Written by one thread before it wakes the other, which reads after its wait.
        var text = ""
    }

    @Test(arguments: [false, true])
    func `what was written before the wake-up is there after the wait`(hasDeadline: Bool) throws {
        // ThreadSanitizer checks that it is there by right.
        let note = Note()
        let signal = Signal()
        let thread = try WorkerThread(name: "writer") {
            note.text = "written"
            signal.wake()
        }
        #expect(signal.wait(until: hasDeadline ? .after(seconds: 30) : .never))
        #expect(note.text == "written")
        thread.join()
    }
}
