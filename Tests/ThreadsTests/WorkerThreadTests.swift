import CLinux
import Foundation
import Glibc
import Testing
import Threads

@Suite struct WorkerThreadTests {
    /// A value that one thread leaves for another.
    private final class Note<Value: Sendable>: Sendable {
        private let content = Locked<Value?>(nil)

        var value: Value? { content.withLock { $0 } }

        func write(_ value: Value) {
            content.withLock { $0 = value }
        }
    }

    /// Runs a closure on a thread and returns what it returned.
    private func onThread<Value: Sendable>(
        name: String = "test", stackBytes: Int = 512 * 1024, _ body: @escaping @Sendable () -> Value
    ) throws -> Value? {
        let note = Note<Value>()
        let thread = try WorkerThread(name: name, stackBytes: stackBytes) { note.write(body()) }
        thread.join()
        return note.value
    }

    @Test func `the body runs once, on a thread of its own, and joining waits for it`() throws {
        let runs = Counter()
        let own = pthread_self()
        let other = try onThread {
            usleep(20_000)
            runs.add()
            return pthread_self()
        }
        #expect(runs.value == 1)
        #expect(other != nil && other != own)
    }

    @Test(arguments: [("worker", "worker"), ("a name that is too long", "a name that is ")])
    func `the system shows the thread's name, cut to 15 bytes`(name: String, shown: String) throws {
        let found = try onThread(name: name) {
            // When it cannot be read, the comparison fails.
            try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)
        }
        #expect(found == shown + "\n")
    }

    @Test func `the stack has the size that was asked for`() throws {
        let bytes = try onThread(stackBytes: 24 * 1024 * 1024) {
            var attributes = pthread_attr_t()
            var size = 0
            pthread_getattr_np(pthread_self(), &attributes)
            pthread_attr_getstacksize(&attributes, &size)
            pthread_attr_destroy(&attributes)
            return size
        }
        // More than the system's default; it may be a larger one that is used again.
        #expect(try #require(bytes) >= 24 * 1024 * 1024)
    }

    @Test func `a thread that cannot be made is an error, and its body never runs`() throws {
        let runs = Counter()
        #expect(throws: WorkerThread.CreationError.self) {
            try WorkerThread(name: "huge", stackBytes: 1 << 46) { runs.add() }
        }
        #expect(runs.value == 0)
    }

    @Test func `what a body refers to is freed when it has run`() throws {
        weak var seen: Counter?
        do {
            let counter = Counter()
            seen = counter
            let thread = try WorkerThread(name: "test") { counter.add() }
            thread.join()
        }
        #expect(seen == nil)
    }

    @Test func `a detached thread runs without being joined`() throws {
        let ended = Signal()
        _ = try WorkerThread(name: "test", isDetached: true) { ended.wake() }
        #expect(ended.wait(until: .after(seconds: 30)))
    }

    @Test func `signals are blocked in a thread and in those it starts`() throws {
        let inner = Note<[Bool]>()
        let outer = try onThread {
            WorkerThread.blockAllSignals()
            // When it cannot be started, the note stays empty.
            let thread = try? WorkerThread(name: "inner") { inner.write(Self.blocked()) }
            thread?.join()
            return Self.blocked()
        }
        #expect(outer == [true, true, true])
        #expect(inner.value == [true, true, true])
    }

    private static func blocked() -> [Bool] {
        var mask = sigset_t()
        pthread_sigmask(SIG_BLOCK, nil, &mask)
        return [SIGTERM, SIGINT, SIGHUP].map { sigismember(&mask, $0) == 1 }
    }
}
