/// One accepted connection: its descriptor, and a serial number that tells it from an older one with the same descriptor.
struct Connection: Sendable, Equatable {
    let descriptor: Int32
    let serial: UInt32

    init(descriptor: Int32, serial: UInt32) {
        self.descriptor = descriptor
        self.serial = serial
    }

    /// Both numbers as epoll carries them.
    var eventData: UInt64 { UInt64(serial) << 32 | UInt64(UInt32(bitPattern: descriptor)) }

    init(eventData: UInt64) {
        descriptor = Int32(bitPattern: UInt32(truncatingIfNeeded: eventData))
        serial = UInt32(truncatingIfNeeded: eventData >> 32)
    }
}

/// Who has each open connection, by descriptor.
///
/// Stages: `idle` (its next request is waited for) → `taken` (queued, or with a worker) → `idle` or closed. Whoever got the event of
/// its next request takes it, or the acceptor to close it; only the thread that has a taken one closes it or gives it back.
struct ConnectionTable {
    private enum Stage {
        case closed
        case idle
        case taken
    }

    private struct Entry {
        var stage = Stage.closed
        var serial: UInt32 = 0
        /// When it became idle, in nanoseconds of the monotonic clock.
        var idleSince: Int64 = 0
        /// An event came between the re-arming and the giving back.
        var isReadable = false
    }

    private var entries: [Entry] = []
    private var serials: UInt32 = 0
    /// Connections that are open.
    private(set) var openCount = 0
    /// Of these, how many are idle.
    private(set) var idleCount = 0

    /// Adds a connection that was just accepted, as idle.
    mutating func insert(descriptor: Int32, now: Int64) -> Connection {
        let index = Int(descriptor)
        if index >= entries.count {
            entries.append(contentsOf: repeatElement(Entry(), count: index + 64 - entries.count))
        }
        serials &+= 1
        entries[index] = Entry(stage: .idle, serial: serials, idleSince: now)
        openCount += 1
        idleCount += 1
        return Connection(descriptor: descriptor, serial: serials)
    }

    /// Takes an idle connection that became readable; false when it is taken already, or gone.
    mutating func take(_ connection: Connection) -> Bool {
        let index = Int(connection.descriptor)
        guard index < entries.count, entries[index].serial == connection.serial else { return false }
        switch entries[index].stage {
        case .idle:
            entries[index].stage = .taken
            idleCount -= 1
            return true
        case .taken:
            entries[index].isReadable = true
            return false
        case .closed:
            return false
        }
    }

    /// Makes a taken connection idle, which must be armed in epoll by now; false when it became readable meanwhile and stays taken.
    mutating func giveBack(_ connection: Connection, now: Int64) -> Bool {
        let index = Int(connection.descriptor)
        precondition(entries[index].serial == connection.serial && entries[index].stage == .taken)
        guard !entries[index].isReadable else {
            entries[index].isReadable = false
            return false
        }
        entries[index].stage = .idle
        entries[index].idleSince = now
        idleCount += 1
        return true
    }

    /// Forgets a taken connection whose descriptor was closed.
    mutating func remove(_ connection: Connection) {
        openCount -= 1
        let index = Int(connection.descriptor)
        // The descriptor may belong to a newer connection by now.
        guard entries[index].serial == connection.serial else { return }
        entries[index].stage = .closed
    }

    /// Takes every connection that has been idle since `limit` or longer, for closing.
    mutating func takeIdle(since limit: Int64) -> [Connection] {
        guard idleCount > 0 else { return [] }
        var taken: [Connection] = []
        for index in entries.indices where entries[index].stage == .idle && entries[index].idleSince <= limit
        {
            entries[index].stage = .taken
            idleCount -= 1
            taken.append(Connection(descriptor: Int32(index), serial: entries[index].serial))
        }
        return taken
    }
}
