import CLinux
import Glibc
import Synchronization
import Threads

/// A moment's numbers of a pool.
package struct ResponderStatistics: Sendable, Equatable {
    /// Worker threads, busy or not.
    package let workers: Int
    /// Workers that serve a request.
    package let workersBusy: Int
    /// Connections that are open.
    package let connections: Int
    /// Open connections without a request.
    package let connectionsIdle: Int
    /// Requests that wait for a worker.
    package let queued: Int
    /// Connections accepted since the start.
    package let accepted: Int
    /// Requests handed to the handler since the start.
    package let served: Int
    /// Requests answered by `overloaded` since the start.
    package let shed: Int
}

/// Serves FastCGI requests: one acceptor, and one worker thread for each request that runs.
///
/// A connection without a request never holds a worker; idle workers wait for the next request of any, the one that was busy last
/// first, and the acceptor does while there is no idle worker. Libfcgi parses and frames; accepting,
/// waiting, deadlines and closing are ours.
package final class ResponderPool: Sendable {
    let listening: [Int32]
    /// The sizes and times that it was created with.
    package let limits: ResponderLimits
    let overloaded: @Sendable (Exchange) -> Void
    let handler: @Sendable (Exchange) -> Void
    let state = Locked(ResponderState())
    /// Whether the pool has begun to end, for those that only want to know this.
    let isDraining = Atomic(false)
    let servedCount = Atomic(0)
    let shedCount = Atomic(0)
    let sheddingSignal = Signal()
    let pipes: FeedPipes
    /// What the acceptor waits for.
    let epollDescriptor: Int32
    /// What idle workers wait for: the next request of each idle connection, and the end.
    let requestsDescriptor: Int32
    /// Becomes readable, for ever, when workers must end.
    let endDescriptor: Int32
    /// Wakes the acceptor.
    let wakeDescriptor: Int32
    /// Becomes readable, for ever, when requests must end.
    let stopDescriptor: Int32

    /// Creates a pool; nothing is accepted until `run`.
    ///
    /// - Parameters:
    ///   - listening: Listening sockets; they are made non-blocking, and stay open when the pool ends.
    ///   - limits: The sizes and times.
    ///   - overloaded: Answers a request for which there is no worker, on a thread of its own; must be quick.
    ///   - handler: Answers a request, on a worker thread.
    package init(
        listening: [Int32], limits: ResponderLimits, overloaded: @escaping @Sendable (Exchange) -> Void,
        handler: @escaping @Sendable (Exchange) -> Void
    ) throws(FastCGIError) {
        precondition(limits.workersMin >= 0 && limits.workersMax >= max(1, limits.workersMin))
        pipes = try FeedPipes()
        let descriptors = [
            epoll_create1(Int32(EPOLL_CLOEXEC)), epoll_create1(Int32(EPOLL_CLOEXEC)),
            eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)), eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)),
            eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)),
        ]
        guard descriptors.allSatisfy({ $0 >= 0 }) else {
            let code = errno
            for descriptor in descriptors where descriptor >= 0 { close(descriptor) }
            throw .system(call: "epoll_create1 or eventfd", code: code)
        }
        for descriptor in listening {
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        }
        self.listening = listening
        self.limits = limits
        self.overloaded = overloaded
        self.handler = handler
        epollDescriptor = descriptors[0]
        requestsDescriptor = descriptors[1]
        endDescriptor = descriptors[2]
        wakeDescriptor = descriptors[3]
        stopDescriptor = descriptors[4]
        Self.control(
            requestsDescriptor, EPOLL_CTL_ADD, endDescriptor, EPOLLIN.rawValue,
            Connection(descriptor: endDescriptor, serial: 0))
        // Nobody waits for requests yet.
        controlRequests(EPOLL_CTL_ADD)
    }

    deinit {
        for descriptor in [
            epollDescriptor, requestsDescriptor, endDescriptor, wakeDescriptor, stopDescriptor,
        ] { close(descriptor) }
    }

    /// Accepts and serves, until a `drain` has ended; blocks all signals in the calling thread.
    ///
    /// Call once. After it returns the process may exit.
    package func run() {
        WorkerThread.blockAllSignals()
        Library.initialise()
        for _ in 0..<limits.workersMin {
            state.withLock { $0.workers += 1 }
            guard startWorker(first: nil) else { break }
        }
        var acceptor = Acceptor(pool: self)
        acceptor.run()
        endWorkers()
    }

    /// Begins to end: no new connections, what is queued and running is answered, a connection closes after its answer.
    ///
    /// When `seconds` have passed, `Exchange.shutdownDescriptor` becomes readable, and `run` returns after `graceSeconds` at the
    /// latest. Any thread may call it; a later call can only make the deadline earlier.
    package func drain(seconds: Int) {
        let deadline = Deadline.after(seconds: seconds)
        state.withLock { state in
            switch state.phase {
            case .running: state.phase = .draining(deadline)
            case .draining(let earlier): state.phase = .draining(min(earlier, deadline))
            case .stopping, .ended: break
            }
        }
        isDraining.store(true, ordering: .relaxed)
        Self.raise(wakeDescriptor)
    }

    /// The present numbers.
    package var statistics: ResponderStatistics {
        state.withLock { state in
            ResponderStatistics(
                workers: state.workers, workersBusy: state.workers - state.idleWorkers,
                connections: state.connections.openCount, connectionsIdle: state.connections.idleCount,
                queued: state.queue.count, accepted: state.accepted,
                served: servedCount.load(ordering: .relaxed),
                shed: shedCount.load(ordering: .relaxed))
        }
    }

    /// Adds one to an eventfd.
    static func raise(_ descriptor: Int32) {
        eventfd_write(descriptor, 1)
    }

    /// Lets the acceptor wait for the next request, once: to be called when the last idle worker has become busy, or has ended.
    ///
    /// A request that has come already is reported to it at once.
    func watchRequests() {
        controlRequests(EPOLL_CTL_MOD)
    }

    private func controlRequests(_ operation: Int32) {
        Self.control(
            epollDescriptor, operation, requestsDescriptor, EPOLLIN.rawValue | EPOLLONESHOT.rawValue,
            Connection(descriptor: requestsDescriptor, serial: 0))
    }

    /// Lets an idle worker get a connection's next request, or its end, once; false when that fails.
    ///
    /// A taken connection is armed first and given back second: an idle one is then always armed, so that it may be closed at any
    /// moment.
    func arm(_ connection: Connection, _ operation: Int32) -> Bool {
        Self.control(
            requestsDescriptor, operation, connection.descriptor,
            EPOLLIN.rawValue | EPOLLRDHUP.rawValue | EPOLLONESHOT.rawValue, connection)
    }

    @discardableResult
    private static func control(
        _ epoll: Int32, _ operation: Int32, _ descriptor: Int32, _ events: UInt32, _ data: Connection
    ) -> Bool {
        var event = epoll_event(events: events, data: epoll_data_t(u64: data.eventData))
        return epoll_ctl(epoll, operation, descriptor, &event) == 0
    }

    /// Hands a taken connection with a request on it to a worker, the queue or the shedder.
    func dispatch(_ connection: Connection) {
        var mayStart = true
        while true {
            let now = Deadline.now.nanoseconds
            let choice = state.withLock {
                $0.dispatch(connection, now: now, limits: limits, mayStart: mayStart)
            }
            switch choice {
            case .offer:
                guard arm(connection, EPOLL_CTL_MOD) else { return drop(connection) }
                if !state.withLock({ $0.connections.giveBack(connection, now: now) }) { continue }
            case .start:
                if !startWorker(first: connection) {
                    mayStart = false
                    continue
                }
            case .queued:
                break
            case .shed:
                sheddingSignal.wake()
                startShedder()
            }
            return
        }
    }

    /// Starts the thread of a worker that is counted already; uncounts it when that fails.
    private func startWorker(first: Connection?) -> Bool {
        do throws(WorkerThread.CreationError) {
            _ = try WorkerThread(name: "worker", stackBytes: limits.stackBytes, isDetached: true) {
                self.work(first: first)
            }
            return true
        } catch {
            state.withLock { $0.workers -= 1 }
            return false
        }
    }

    /// Starts the shedder unless it runs; when that fails, the acceptor tries again.
    func startShedder() {
        let isMissing = state.withLock { state in
            defer { state.hasShedder = true }
            return !state.hasShedder
        }
        guard isMissing else { return }
        do throws(WorkerThread.CreationError) {
            _ = try WorkerThread(name: "shedder", isDetached: true) { self.shed() }
        } catch {
            state.withLock { $0.hasShedder = false }
        }
    }

    private func endWorkers() {
        state.withLock { $0.phase = .ended }
        Self.raise(endDescriptor)
        sheddingSignal.wake()
    }
}
