import Threads

/// How far a pool has come.
enum ResponderPhase {
    case running
    /// Accepts nothing new; requests may run until the deadline.
    case draining(Deadline)
    /// Requests were told to end themselves and may take until the deadline.
    case stopping(Deadline)
    case ended
}

/// Everything that the threads of a pool share, inside its `Locked`; decides, and leaves the doing to the caller.
struct ResponderState {
    /// A request that nobody has looked at yet.
    struct Waiting {
        let connection: Connection
        let since: Int64
    }

    /// What to do with a connection that became readable.
    enum Dispatch {
        /// A worker waits for requests: let it see this one.
        case offer
        case start
        case queued
        case shed
    }

    var phase = ResponderPhase.running
    var connections = ConnectionTable()
    /// Workers that wait for the next request.
    private(set) var idleWorkers = 0
    /// Workers that exist, those being started included.
    var workers = 0
    var queue = Queue<Waiting>()
    var shedding = Queue<Connection>()
    var hasShedder = false
    var isShedding = false
    var accepted = 0

    var isDraining: Bool {
        if case .running = phase { return false }
        return true
    }

    /// Whether any request is running or waiting.
    var isBusy: Bool { workers > idleWorkers || queue.count > 0 || shedding.count > 0 || isShedding }

    /// Finds who serves a connection; `mayStart` is false after a thread could not be created.
    mutating func dispatch(
        _ connection: Connection, now: Int64, limits: ResponderLimits, mayStart: Bool
    ) -> Dispatch {
        if idleWorkers > 0 { return .offer }
        if mayStart, workers < limits.workersMax {
            workers += 1
            return .start
        }
        if workers > 0, queue.count < limits.queueMax {
            queue.append(Waiting(connection: connection, since: now))
            return .queued
        }
        shedding.append(connection)
        return .shed
    }

    /// The next request for a worker that has none; without one it is idle from now on and waits for requests itself.
    mutating func nextWork() -> Connection? {
        if let waiting = queue.popFirst() { return waiting.connection }
        idleWorkers += 1
        return nil
    }

    /// Gives an idle worker the connection whose event it got.
    mutating func begin(_ connection: Connection) -> Beginning {
        guard connections.take(connection) else { return .notOurs }
        idleWorkers -= 1
        return idleWorkers == 0 ? .last : .begun
    }

    /// What became of an event that an idle worker got.
    enum Beginning {
        /// Another thread has the connection: the worker waits on.
        case notOurs
        case begun
        /// And nobody waits for further requests: the acceptor must.
        case last
    }

    /// Moves what has waited since `limit` or longer from the queue to shedding; returns how many.
    mutating func expireQueue(since limit: Int64) -> Int {
        var count = 0
        while let waiting = queue.first, waiting.since <= limit {
            _ = queue.popFirst()
            shedding.append(waiting.connection)
            count += 1
        }
        return count
    }

    /// Ends an idle worker that waited long enough, unless it is needed; nil when it stays, else whether it was the last idle one.
    mutating func retire(workersMin: Int) -> Bool? {
        guard workers > workersMin else { return nil }
        return end()
    }

    /// Ends an idle worker; whether it was the last idle one.
    mutating func end() -> Bool {
        workers -= 1
        idleWorkers -= 1
        return idleWorkers == 0
    }
}
