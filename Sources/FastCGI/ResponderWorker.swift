import CLinux
import Glibc
import Synchronization
import Threads

/// What one thread needs to serve connections, used again for each.
private final class Desk {
    let channel: FastCGIChannel
    let exchange: Exchange

    init(pool: ResponderPool, isShedding: Bool) {
        channel = FastCGIChannel(pipes: pool.pipes, parametersBytesMax: pool.limits.parametersBytesMax) {
            [unowned pool] in isShedding || pool.isDraining.load(ordering: .relaxed)
        }
        exchange = Exchange(
            channel: channel, shutdownDescriptor: pool.stopDescriptor,
            readTimeoutSeconds: pool.limits.readTimeoutSeconds)
    }
}

extension ResponderPool {
    /// The life of a worker thread.
    func work(first: Connection?) {
        let desk = Desk(pool: self, isShedding: false)
        var next = first ?? state.withLock { $0.nextWork() }
        while let connection = next ?? awaitWork() {
            let isKept = serve(connection, at: desk, timeoutSeconds: limits.readTimeoutSeconds, isShed: false)
            next = isKept ? keep(connection) : dropAndGoOn(connection)
        }
    }

    /// The life of the shedder thread: answers what nobody has time for, one after another, and closes the connections.
    ///
    /// nginx takes the connection that became free last: kept, those that are refused fastest would draw all requests, away from
    /// processes on the same socket that have time.
    func shed() {
        let desk = Desk(pool: self, isShedding: true)
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
            Acceptor.setWriteTimeout(connection.descriptor, seconds: seconds)
            _ = serve(connection, at: desk, timeoutSeconds: seconds, isShed: true)
            drop(connection)
        }
    }

    /// Reads and answers one request; false when the connection must be closed.
    private func serve(
        _ connection: Connection, at desk: Desk, timeoutSeconds: Int, isShed: Bool
    ) -> Bool {
        let deadline = Deadline.after(seconds: timeoutSeconds)
        guard desk.channel.begin(connection.descriptor, until: deadline) else { return false }
        desk.exchange.reset()
        if isShed {
            shedCount.add(1, ordering: .relaxed)
            overloaded(desk.exchange)
        } else {
            servedCount.add(1, ordering: .relaxed)
            handler(desk.exchange)
        }
        return desk.channel.end(
            discardBytesMax: limits.discardBytesMax, until: .after(seconds: timeoutSeconds))
    }

    /// Keeps a connection for its next request, and finds the worker its next work: the same connection, the queue, or none.
    private func keep(_ connection: Connection) -> Connection? {
        guard arm(connection, EPOLL_CTL_MOD) else { return dropAndGoOn(connection) }
        let now = Deadline.now.nanoseconds
        return state.withLock { state in
            guard state.connections.giveBack(connection, now: now) else { return connection }
            return state.nextWork()
        }
    }

    /// Closes a connection, and finds the worker its next work.
    private func dropAndGoOn(_ connection: Connection) -> Connection? {
        drop(connection)
        return state.withLock { $0.nextWork() }
    }

    /// Closes a taken connection.
    func drop(_ connection: Connection) {
        close(connection.descriptor)
        state.withLock { $0.connections.remove(connection) }
    }

    /// Waits for a request; nil when the worker must end.
    private func awaitWork() -> Connection? {
        var event = epoll_event()
        while true {
            let count = epoll_wait(
                requestsDescriptor, &event, 1,
                Deadline.after(seconds: limits.workerIdleSeconds).remainingMilliseconds)
            guard count > 0 else {
                if count == 0, let wasLast = state.withLock({ $0.retire(workersMin: limits.workersMin) }) {
                    if wasLast { watchRequests() }
                    return nil
                }
                continue
            }
            let connection = Connection(eventData: event.data.u64)
            guard connection.serial != 0 else {
                _ = state.withLock { $0.end() }
                return nil
            }
            switch state.withLock({ $0.begin(connection) }) {
            case .notOurs: continue
            case .begun: return connection
            case .last:
                watchRequests()
                return connection
            }
        }
    }
}
