import FastCGI
import Glibc
import PrivateServers
import Synchronization
import TestTools
import Threads

/// A pool on a socket of its own in a temporary folder, and its acceptor on a thread.
final class TestResponder {
    let path: String
    let pool: ResponderPool
    let listener: Int32
    private let directory: TemporaryDirectory
    private let thread: WorkerThread
    private let ended = Signal()
    private var isJoined = false

    /// - Parameter other: Whose socket to serve as well, as another process of the same host does.
    init(
        limits: ResponderLimits = .small, socketMode: UInt32 = 0o600, sharing other: TestResponder? = nil,
        overloaded: @escaping @Sendable (Exchange) -> Void = { answer($0, "503 Overloaded", "overloaded") },
        handler: @escaping @Sendable (Exchange) -> Void
    ) throws {
        directory = try other?.directory ?? TemporaryDirectory()
        path = directory.path + "/socket"
        listener = try other.map { dup($0.listener) } ?? UnixListener.open(path: path, mode: socketMode)
        let pool = try ResponderPool(
            listening: [listener], limits: limits, overloaded: overloaded, handler: handler)
        self.pool = pool
        let ended = ended
        thread = try WorkerThread(name: "acceptor") {
            pool.run()
            ended.wake()
        }
    }

    deinit {
        if !isJoined {
            pool.drain(seconds: 0)
            thread.join()
        }
        close(listener)
    }

    /// Waits until `run` has returned.
    func hasEnded(within seconds: Int) -> Bool {
        guard ended.wait(until: .after(seconds: seconds)) else { return false }
        thread.join()
        isJoined = true
        return true
    }

    func connect() throws -> FastCGIClient {
        guard let client = FastCGIClient(path: path) else { throw TestFailure.cannotConnect(errno) }
        return client
    }

    /// Waits until all workers have started and none is busy.
    func becomesQuiet() -> Bool {
        Eventually.holds {
            let statistics = self.pool.statistics
            return statistics.workersBusy == 0 && statistics.workers >= self.pool.limits.workersMin
        }
    }
}

enum TestFailure: Error {
    case cannotConnect(Int32)
}

extension ResponderLimits {
    /// Short times and few workers.
    static var small: ResponderLimits {
        var limits = ResponderLimits()
        limits.workersMin = 2
        limits.workersMax = 8
        limits.readTimeoutSeconds = 5
        limits.writeTimeoutSeconds = 5
        limits.graceSeconds = 1
        limits.drainIdleMilliseconds = 100
        return limits
    }
}

/// A gate that handlers wait at until the test opens it.
final class Gate: Sendable {
    private let isOpen = Atomic<Bool>(false)
    private let arrivals = Atomic<Int>(0)

    var arrived: Int { arrivals.load(ordering: .acquiring) }

    func open() {
        isOpen.store(true, ordering: .releasing)
    }

    func pass() {
        arrivals.add(1, ordering: .acquiringAndReleasing)
        _ = Eventually.holds(seconds: 20) { isOpen.load(ordering: .acquiring) }
    }
}

/// What a handler found out, for the test to read.
final class Note<Value: Sendable>: Sendable {
    private let values = Locked<[Value]>([])

    var all: [Value] { values.withLock { $0 } }

    func add(_ value: Value) {
        values.withLock { $0.append(value) }
    }

    /// The first note, waited for.
    func first(within seconds: Int = 15) -> Value? {
        _ = Eventually.holds(seconds: seconds) { !self.all.isEmpty }
        return all.first
    }
}

func answer(_ exchange: Exchange, _ status: String, _ body: String) {
    exchange.write("Status: \(status)\r\nContent-Type: text/plain\r\n\r\n\(body)")
}

/// Answers with the body, or with the error that reading it gave.
@Sendable func echo(_ exchange: Exchange) {
    do throws(ExchangeError) {
        let body = try exchange.readBody(bytesMax: 8 * 1_024 * 1_024)
        answer(exchange, "200 OK", "")
        exchange.write(body)
    } catch {
        answer(exchange, "400 Bad Request", "\(error)")
    }
}
