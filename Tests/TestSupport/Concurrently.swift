import Synchronization
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
        let results = Mutex<[Int: Result<Value, any Error>]>([:])
        let gate = Signal()
        let threads = try (0..<count).map { index in
            try WorkerThread(name: "concurrent") {
                gate.wait()
                let result = Result { try body(index) }
                results.withLock { $0[index] = result }
            }
        }
        for _ in threads { gate.wake() }
        for thread in threads { thread.join() }
        return try results.withLock { results in
            try (0..<count).compactMap { try results[$0]?.get() }
        }
    }
}
