import Threads

/// Runs the same work on many threads at the same time, as many clients or workers would.
package enum Concurrently {
    /// Calls `body` once on each of `count` threads, which begin together, and returns what they returned, in their order.
    ///
    /// The first error is thrown, after all threads have ended.
    @discardableResult
    package static func run<Value: Sendable>(
        _ count: Int, _ body: @escaping @Sendable (Int) throws -> Value
    ) throws -> [Value] {
        try begin(count, body).wait()
    }

    /// Begins to call `body` on each of `count` threads; what they return is waited for later.
    package static func begin<Value: Sendable>(
        _ count: Int, _ body: @escaping @Sendable (Int) throws -> Value
    ) throws -> ConcurrentWork<Value> {
        try ConcurrentWork(count, body)
    }
}

/// Work that runs on threads of its own; wait for it before the test ends.
package final class ConcurrentWork<Value: Sendable>: Sendable {
    private final class Results: Sendable {
        let values = Locked<[Int: Result<Value, any Error>]>([:])
    }

    private let results: Results
    private let threads: [WorkerThread]

    fileprivate init(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Value) throws {
        let results = Results()
        self.results = results
        let gate = Signal()
        threads = try (0..<count).map { index in
            try WorkerThread(name: "concurrent") {
                gate.wait()
                let result = Result { try body(index) }
                results.values.withLock { $0[index] = result }
            }
        }
        for _ in threads { gate.wake() }
    }

    /// Waits for all threads and returns what they returned, in their order; call it once.
    package func wait() throws -> [Value] {
        for thread in threads { thread.join() }
        return try results.values.withLock { results in
            try threads.indices.compactMap { try results[$0]?.get() }
        }
    }
}
