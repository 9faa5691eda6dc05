import CLinux
import Glibc
import Threads

/// The one thread that starts all child processes.
///
/// The kernel sends a child its death signal when the *thread* that started it ends, so that thread has to live as long as the
/// process does.
final class Spawner: Sendable {
    struct Order: Sendable {
        let arguments: [String]
        let environment: [String]
        let logPath: String
        let workingDirectory: String?
        let listening: [Int32]
    }

    private final class Ticket: @unchecked Sendable {
        // `processID` and `code` are written by the spawner's thread before `done.wake()` and read by the owner after its wait.
        let order: Order
        let done = Signal()
        var processID: pid_t = 0
        var code: Int32 = 0

        init(_ order: Order) {
            self.order = order
        }
    }

    /// After standard input, output and error; systemd's `SD_LISTEN_FDS_START`.
    private static let firstPassed: Int32 = 3

    private static let shared = Result<Spawner, WorkerThread.CreationError> {
        () throws(WorkerThread.CreationError) in
        try Spawner()
    }

    private let tickets = Locked<[Ticket]>([])
    private let work = Signal()

    private init() throws(WorkerThread.CreationError) {
        _ = try WorkerThread(name: "spawner", isDetached: true) { [self] in
            WorkerThread.blockAllSignals()
            serve()
        }
    }

    /// Starts a process and returns its id.
    static func spawn(_ order: Order) throws(ServerError) -> pid_t {
        let program = order.arguments[0]
        let spawner: Spawner
        do throws(WorkerThread.CreationError) {
            spawner = try shared.get()
        } catch {
            throw .system(operation: "start a thread for", path: program, code: error.code)
        }
        let ticket = Ticket(order)
        spawner.tickets.withLock { $0.append(ticket) }
        spawner.work.wake()
        ticket.done.wait()
        guard ticket.code == 0 else { throw .system(operation: "run", path: program, code: ticket.code) }
        return ticket.processID
    }

    private func serve() -> Never {
        while true {
            work.wait()
            for ticket in tickets.withLock({ tickets in
                defer { tickets.removeAll() }
                return tickets
            }) {
                ticket.code = Self.start(ticket.order, &ticket.processID)
                ticket.done.wake()
            }
        }
    }

    /// Calls `posix_spawn`: own process group, no blocked or ignored signals, no descriptors but the standard three and
    /// the sockets of the order.
    private static func start(_ order: Order, _ processID: inout pid_t) -> Int32 {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP
        posix_spawnattr_setflags(&attributes, Int16(flags))

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, order.logPath, O_WRONLY | O_CREAT | O_APPEND, 0o640)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // Copies, above all that they become in the child, so that none is overwritten before its turn.
        let copies = order.listening.map {
            fcntl($0, F_DUPFD_CLOEXEC, firstPassed + Int32(order.listening.count))
        }
        defer { for copy in copies where copy >= 0 { close(copy) } }
        guard !copies.contains(where: { $0 < 0 }) else { return EBADF }
        for (index, copy) in copies.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, copy, firstPassed + Int32(index))
        }
        posix_spawn_file_actions_addclosefrom_np(&actions, firstPassed + Int32(copies.count))
        if let directory = order.workingDirectory {
            posix_spawn_file_actions_addchdir_np(&actions, directory)
        }

        var arguments = order.arguments.map { strdup($0) } + [nil]
        var environment = order.environment.map { strdup($0) } + [nil]
        defer { for string in arguments + environment { free(string) } }
        return posix_spawn(
            &processID, order.arguments[0], &actions, &attributes, &arguments, &environment)
    }
}
