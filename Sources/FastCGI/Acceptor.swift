import CLinux
import Glibc
import Threads

/// The acceptor's loop: new connections, requests for which no worker waits, time limits, and the way to the end.
struct Acceptor {
    private static let eventsMax = 256
    /// Few, so that of several processes that share the socket each gets a part of a rush.
    private static let acceptsAtOnceMax = 16
    /// How long accepting rests when there are no descriptors, or too much waits.
    private static let pauseMilliseconds = 50
    /// How long a full process leaves a connection to the others that share the socket.
    private static let holdBackMilliseconds = 5

    /// How new connections are waited for.
    private enum Listening {
        /// Not at all: while draining, or resting.
        case no
        /// Asleep, until the kernel wakes us.
        case yes
        /// There are as many connections as workers: now and then we take those that nobody else has taken.
        case holdingBack
    }

    private let pool: ResponderPool
    private var listening = Listening.no
    private var pausedUntil: Deadline?
    private var nextLook = Deadline.now
    private var nextSweep = Deadline.now

    init(pool: ResponderPool) {
        self.pool = pool
    }

    /// Runs until the pool has drained, or its drain and grace deadlines have passed.
    mutating func run() {
        add(pool.wakeDescriptor, events: EPOLLIN.rawValue)
        withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: Self.eventsMax) { events in
            repeat {
                updateListening()
                let count = epoll_wait(
                    pool.epollDescriptor, events.baseAddress, Int32(events.count), waitMilliseconds)
                for index in 0..<max(0, Int(count)) { handle(events[index]) }
                look()
                sweep()
            } while !hasEnded()
        }
        stopListening(.no)
    }

    // MARK: - Events

    private mutating func handle(_ event: epoll_event) {
        let connection = Connection(eventData: event.data.u64)
        if connection.descriptor == pool.requestsDescriptor {
            takeRequests()
        } else if connection.descriptor == pool.wakeDescriptor {
            var value: eventfd_t = 0
            eventfd_read(pool.wakeDescriptor, &value)
        } else {
            accept(from: connection.descriptor)
            requeue(connection.descriptor)
        }
    }

    /// Puts a listening socket at the end of those that the kernel wakes, so that the processes that share it take turns.
    ///
    /// Its being readable is looked at anew with that: a connection whose wake-up went to a process that died, or could take no more,
    /// would wait here unseen.
    private func requeue(_ listener: Int32) {
        guard listening == .yes else { return }
        epoll_ctl(pool.epollDescriptor, EPOLL_CTL_DEL, listener, nil)
        listen(to: listener)
    }

    private func listen(to listener: Int32) {
        // Exclusive: of several processes that share the socket, one is woken.
        add(listener, events: EPOLLIN.rawValue | EPOLLEXCLUSIVE.rawValue)
    }

    /// Takes the requests that came while no worker waited for them; returns when a worker does, or when no more are there.
    private func takeRequests() {
        withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: Self.eventsMax) { events in
            while pool.state.withLock({ $0.idleWorkers == 0 }) {
                let count = epoll_wait(pool.requestsDescriptor, events.baseAddress, Int32(events.count), 0)
                guard count > 0 else {
                    pool.watchRequests()
                    return
                }
                for event in events[..<Int(count)] {
                    take(Connection(eventData: event.data.u64), event.events)
                }
            }
        }
    }

    private func take(_ connection: Connection, _ events: UInt32) {
        guard pool.state.withLock({ $0.connections.take(connection) }) else { return }
        let endings = EPOLLRDHUP.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue
        if events & endings != 0, !hasBytes(connection.descriptor) {
            pool.drop(connection)
        } else {
            pool.dispatch(connection)
        }
    }

    private func hasBytes(_ descriptor: Int32) -> Bool {
        var byte: UInt8 = 0
        return recv(descriptor, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) > 0
    }

    private mutating func accept(from listener: Int32) {
        for _ in 0..<Self.acceptsAtOnceMax {
            guard listening != .no, mayAccept() else { return }
            let descriptor = accept4(listener, nil, nil, Int32(SOCK_CLOEXEC.rawValue))
            guard descriptor >= 0 else {
                switch errno {
                case EINTR, ECONNABORTED: continue
                case EAGAIN: return
                default:
                    // EMFILE, ENFILE, ENOMEM and their like: the socket stays readable, so rest instead of spinning.
                    pausedUntil = .after(milliseconds: Self.pauseMilliseconds)
                    return
                }
            }
            Self.setWriteTimeout(descriptor, seconds: pool.limits.writeTimeoutSeconds)
            let now = Deadline.now.nanoseconds
            let connection = pool.state.withLock { state in
                state.accepted += 1
                return state.connections.insert(descriptor: descriptor, now: now)
            }
            guard pool.arm(connection, EPOLL_CTL_ADD) else {
                _ = pool.state.withLock { $0.connections.take(connection) }
                pool.drop(connection)
                pausedUntil = .after(milliseconds: Self.pauseMilliseconds)
                return
            }
        }
    }

    /// Bounds each write of a connection; reads wait in `poll` instead.
    static func setWriteTimeout(_ descriptor: Int32, seconds: Int) {
        var time = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    }

    private func add(_ descriptor: Int32, events: UInt32) {
        let data = Connection(descriptor: descriptor, serial: 0).eventData
        var event = epoll_event(events: events, data: epoll_data_t(u64: data))
        epoll_ctl(pool.epollDescriptor, EPOLL_CTL_ADD, descriptor, &event)
    }

    // MARK: - Listening or not

    private func mayAccept() -> Bool {
        pool.state.withLock { state in
            !state.isDraining && state.connections.openCount < pool.limits.connectionsMax
                && state.shedding.count < pool.limits.sheddingMax
        }
    }

    /// Puts the listening sockets into epoll, or takes them out.
    private mutating func updateListening() {
        if let pausedUntil, pausedUntil.isPast { self.pausedUntil = nil }
        guard pausedUntil == nil, mayAccept() else { return stopListening(.no) }
        let isFull = pool.state.withLock { $0.connections.openCount >= pool.limits.workersMax }
        if isFull {
            if listening != .holdingBack { nextLook = .after(milliseconds: Self.holdBackMilliseconds) }
            stopListening(.holdingBack)
        } else if listening != .yes {
            for descriptor in pool.listening { listen(to: descriptor) }
            listening = .yes
        }
    }

    private mutating func stopListening(_ next: Listening) {
        if listening == .yes {
            for descriptor in pool.listening {
                epoll_ctl(pool.epollDescriptor, EPOLL_CTL_DEL, descriptor, nil)
            }
        }
        listening = next
    }

    /// Takes what the others have left, while holding back: to be refused at once is better than to wait unseen.
    private mutating func look() {
        guard listening == .holdingBack, nextLook.isPast else { return }
        nextLook = .after(milliseconds: Self.holdBackMilliseconds)
        for descriptor in pool.listening { accept(from: descriptor) }
    }

    private var waitMilliseconds: Int32 {
        switch listening {
        case .no: Int32(Self.pauseMilliseconds)
        case .yes: nextSweep.remainingMilliseconds
        case .holdingBack: nextLook.remainingMilliseconds
        }
    }

    // MARK: - Time limits and the end

    /// Closes connections that were idle too long and sheds requests that waited too long.
    private mutating func sweep() {
        let isDraining = pool.state.withLock { $0.isDraining }
        guard isDraining || nextSweep.isPast else { return }
        nextSweep = .after(seconds: 1)
        for descriptor in pool.listening { requeue(descriptor) }
        let limits = pool.limits
        let idleMilliseconds =
            isDraining ? limits.drainIdleMilliseconds : limits.connectionIdleSeconds * 1_000
        let now = Deadline.now.nanoseconds
        let (idle, expired) = pool.state.withLock { state in
            let idle = state.connections.takeIdle(since: now - Int64(idleMilliseconds) * 1_000_000)
            let expired = state.expireQueue(since: now - Int64(limits.queueTimeoutSeconds) * 1_000_000_000)
            return (idle, expired)
        }
        for connection in idle {
            // A request may have come at this very moment.
            if hasBytes(connection.descriptor) { pool.dispatch(connection) } else { pool.drop(connection) }
        }
        for _ in 0..<expired { pool.sheddingSignal.wake() }
        if pool.state.withLock({ $0.shedding.count > 0 && !$0.hasShedder }) { pool.startShedder() }
    }

    /// Moves a draining pool on; true when nothing is left to do or to wait for.
    private func hasEnded() -> Bool {
        let now = Deadline.now
        let graceSeconds = pool.limits.graceSeconds
        let (hasEnded, mustStop, expired) = pool.state.withLock { state in
            let isDone = !state.isBusy && state.connections.openCount == 0
            switch state.phase {
            case .running:
                return (false, false, 0)
            case .draining(let deadline):
                guard !isDone, deadline <= now else { return (isDone, false, 0) }
                state.phase = .stopping(now.advanced(milliseconds: graceSeconds * 1_000))
                return (false, true, state.expireQueue(since: .max))
            case .stopping(let deadline):
                return (isDone || deadline <= now, false, 0)
            case .ended:
                return (true, false, 0)
            }
        }
        if mustStop { ResponderPool.raise(pool.stopDescriptor) }
        for _ in 0..<expired { pool.sheddingSignal.wake() }
        return hasEnded
    }
}
