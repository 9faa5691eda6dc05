import CLinux
import Glibc
import Synchronization
import Threads

/// What one thread needs to serve connections, used again for each.
private final class Desk {
    let channel = FastCGIChannel()
    let exchange: Exchange
    /// Where a request is looked at before libfcgi reads it.
    let scratch: UnsafeMutableRawBufferPointer

    init(limits: ResponderLimits, stopDescriptor: Int32) {
        exchange = Exchange(
            channel: channel, shutdownDescriptor: stopDescriptor,
            readTimeoutSeconds: limits.readTimeoutSeconds)
        // Beside the parameters there are record headers; pages that no request reaches never become memory.
        let bytes = limits.parametersBytesMax + limits.parametersBytesMax / 8 + 4 * 1_024
        scratch = .allocate(byteCount: bytes, alignment: 16)
    }

    deinit {
        scratch.deallocate()
    }

    /// Waits until a whole request is in the socket's buffer, without taking it out; false when none comes.
    func awaitRequest(on descriptor: Int32, parametersBytesMax: Int, deadline: Deadline) -> Bool {
        let flags = Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)
        var pauseMilliseconds: Int32 = 1
        while true {
            let count = recv(descriptor, scratch.baseAddress, scratch.count, flags)
            if count < 0 {
                guard errno == EAGAIN || errno == EINTR else { return false }
                guard wait(descriptor, POLLIN, deadline.remainingMilliseconds) > 0 else { return false }
                continue
            }
            guard count > 0 else { return false }
            let seen = UnsafeRawBufferPointer(rebasing: scratch[..<count])
            switch RequestScan.scan(seen, parametersBytesMax: parametersBytesMax) {
            case .complete: return true
            case .malformed: return false
            case .incomplete: break
            }
            guard count < scratch.count, !deadline.isPast else { return false }
            // No call waits for more than is there already, so look again soon; the wait ends at once if the peer goes away.
            guard wait(descriptor, 0, pauseMilliseconds) == 0 else { return false }
            pauseMilliseconds = min(pauseMilliseconds * 2, 16)
        }
    }

    private func wait(_ descriptor: Int32, _ events: Int32, _ milliseconds: Int32) -> Int32 {
        var state = pollfd(
            fd: descriptor, events: Int16(events) | Int16(TOLLGATE_POLLRDHUP), revents: 0)
        return poll(&state, 1, milliseconds)
    }
}

extension ResponderPool {
    /// The life of a worker thread.
    func work(_ worker: Worker, first: Connection?) {
        let desk = Desk(limits: limits, stopDescriptor: stopDescriptor)
        var next = first ?? state.withLock { $0.nextWork(for: worker) }
        while let connection = next ?? awaitWork(worker) {
            let ending = serve(connection, at: desk, timeoutSeconds: limits.readTimeoutSeconds, isShed: false)
            next = ending == .kept ? keep(connection, worker) : drop(connection, ending, worker)
        }
    }

    /// The life of the shedder thread: answers what nobody has time for, one after another.
    func shed() {
        let desk = Desk(limits: limits, stopDescriptor: stopDescriptor)
        while true {
            let (connection, hasEnded) = state.withLock { state in
                let connection = state.shedding.popFirst()
                state.isShedding = connection != nil
                if case .ended = state.phase { return (connection, true) }
                return (connection, false)
            }
            guard let connection else {
                if hasEnded { return }
                sheddingSignal.wait()
                continue
            }
            let seconds = limits.sheddingTimeoutSeconds
            Acceptor.setTimeouts(connection.descriptor, readSeconds: seconds, writeSeconds: seconds)
            let ending = serve(connection, at: desk, timeoutSeconds: seconds, isShed: true)
            guard ending == .kept, !state.withLock({ $0.isDraining }) else {
                drop(connection, ending)
                continue
            }
            Acceptor.setTimeouts(
                connection.descriptor, readSeconds: limits.readTimeoutSeconds,
                writeSeconds: limits.writeTimeoutSeconds)
            guard rearm(connection) else {
                drop(connection)
                continue
            }
            let now = Deadline.now.nanoseconds
            if !state.withLock({ $0.connections.giveBack(connection, now: now) }) { dispatch(connection) }
        }
    }

    /// Reads and answers one request.
    private func serve(
        _ connection: Connection, at desk: Desk, timeoutSeconds: Int, isShed: Bool
    ) -> FastCGIChannel.Ending {
        let descriptor = connection.descriptor
        guard
            desk.awaitRequest(
                on: descriptor, parametersBytesMax: limits.parametersBytesMax,
                deadline: .after(seconds: timeoutSeconds))
        else { return .unusable }
        guard desk.channel.begin(descriptor: descriptor) else { return .closed }
        desk.exchange.reset()
        if isShed { overloaded(desk.exchange) } else { handler(desk.exchange) }
        state.withLock { state in
            if isShed { state.shed += 1 } else { state.served += 1 }
        }
        return desk.channel.end(
            discardBytesMax: limits.discardBytesMax, deadline: .after(seconds: timeoutSeconds))
    }

    /// Keeps a connection for its next request, and finds the worker its next work: the same connection, the queue, or none.
    private func keep(_ connection: Connection, _ worker: Worker) -> Connection? {
        if !isPressed.load(ordering: .relaxed), limits.pollMicroseconds > 0, hasRequestSoon(connection) {
            return connection
        }
        guard !state.withLock({ $0.isDraining }), rearm(connection) else {
            return drop(connection, .unusable, worker)
        }
        // Armed first, given back second: an idle connection is then always armed, so the acceptor may close it at any moment.
        let now = Deadline.now.nanoseconds
        return state.withLock { state in
            guard state.connections.giveBack(connection, now: now) else { return connection }
            return nextWork(for: worker, &state)
        }
    }

    /// Closes a connection, and finds the worker its next work.
    private func drop(
        _ connection: Connection, _ ending: FastCGIChannel.Ending, _ worker: Worker
    ) -> Connection? {
        drop(connection, ending)
        return state.withLock { nextWork(for: worker, &$0) }
    }

    /// Closes a taken connection.
    func drop(_ connection: Connection, _ ending: FastCGIChannel.Ending = .unusable) {
        if ending != .closed { close(connection.descriptor) }
        state.withLock { $0.connections.remove(connection) }
    }

    private func nextWork(for worker: Worker, _ state: inout ResponderState) -> Connection? {
        let next = state.nextWork(for: worker)
        if state.queue.count == 0, !state.isDraining { isPressed.store(false, ordering: .relaxed) }
        return next
    }

    /// Watches a connection for a few microseconds: the next request often comes at once, and then nobody need be woken.
    private func hasRequestSoon(_ connection: Connection) -> Bool {
        tollgate_poll_readable(connection.descriptor, limits.pollMicroseconds * 1_000) > 0
    }

    /// Lets epoll report the connection's next request, once.
    private func rearm(_ connection: Connection) -> Bool {
        var event = Acceptor.event(for: connection)
        return epoll_ctl(epollDescriptor, EPOLL_CTL_MOD, connection.descriptor, &event) == 0
    }

    /// Waits for work; nil when the worker must end.
    private func awaitWork(_ worker: Worker) -> Connection? {
        while true {
            if worker.signal.wait(until: .after(seconds: limits.workerIdleSeconds)) {
                defer { worker.assigned = nil }
                return worker.assigned
            }
            if state.withLock({ $0.retire(worker, workersMin: limits.workersMin) }) { return nil }
        }
    }
}
