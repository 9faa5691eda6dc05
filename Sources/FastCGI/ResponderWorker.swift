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
    func work(_ worker: Worker, first: Connection?) {
        let desk = Desk(pool: self, isShedding: false)
        var next = first ?? state.withLock { $0.nextWork(for: worker) }
        while let connection = next ?? awaitWork(worker) {
            let isKept = serve(connection, at: desk, timeoutSeconds: limits.readTimeoutSeconds, isShed: false)
            next = isKept ? keep(connection, worker) : drop(connection, worker)
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
    private func keep(_ connection: Connection, _ worker: Worker) -> Connection? {
        guard rearm(connection) else { return drop(connection, worker) }
        // Armed first, given back second: an idle connection is then always armed, so the acceptor may close it at any moment.
        let now = Deadline.now.nanoseconds
        return state.withLock { state in
            guard state.connections.giveBack(connection, now: now) else { return connection }
            return state.nextWork(for: worker)
        }
    }

    /// Closes a connection, and finds the worker its next work.
    private func drop(_ connection: Connection, _ worker: Worker) -> Connection? {
        drop(connection)
        return state.withLock { $0.nextWork(for: worker) }
    }

    /// Closes a taken connection.
    func drop(_ connection: Connection) {
        close(connection.descriptor)
        state.withLock { $0.connections.remove(connection) }
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
