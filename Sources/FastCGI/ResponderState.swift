import Threads

/// A worker thread as the pool sees it.
final class Worker: @unchecked Sendable {
    // `assigned` is written by whoever took the worker off the idle stack, before `signal.wake()`, and read by the worker
    // after its wait; nil then means that it must end.
    let signal = Signal()
    var assigned: Connection?
}

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
        case wake(Worker)
        case start
        case queued
        case shed
    }

    var phase = ResponderPhase.running
    var connections = ConnectionTable()
    /// The most recently idle worker is last and is taken first.
    var idleWorkers: [Worker] = []
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
    var isBusy: Bool { workers > idleWorkers.count || queue.count > 0 || shedding.count > 0 || isShedding }

    /// Finds who serves a connection; `mayStart` is false after a thread could not be created.
    mutating func dispatch(
        _ connection: Connection, now: Int64, limits: ResponderLimits, mayStart: Bool
    ) -> Dispatch {
        if let worker = idleWorkers.popLast() {
            worker.assigned = connection
            return .wake(worker)
        }
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

    /// The next request for a worker that has none; without one it becomes idle and must wait for its signal.
    mutating func nextWork(for worker: Worker) -> Connection? {
        if let waiting = queue.popFirst() { return waiting.connection }
        if case .ended = phase {
            workers -= 1
            worker.signal.wake()
            return nil
        }
        idleWorkers.append(worker)
        return nil
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

    /// Ends a worker that waited long enough, unless it is needed or was given work at this moment.
    mutating func retire(_ worker: Worker, workersMin: Int) -> Bool {
        guard workers > workersMin, let index = idleWorkers.firstIndex(where: { $0 === worker }) else {
            return false
        }
        idleWorkers.remove(at: index)
        workers -= 1
        return true
    }
}
