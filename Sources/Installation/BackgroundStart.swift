import CLinux
import Glibc

/// Runs a supervisor in the background: in a session of its own, so that it outlives the terminal.
package enum BackgroundStart {
    /// The descriptor on which the supervisor tells its waiter that it is ready.
    package static let waiterDescriptor: Int32 = 3

    /// Starts this program again with other arguments and waits until it is ready or has failed; returns the exit status to
    /// end with.
    package static func start(arguments: [String]) throws(InstallationError) -> Int32 {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .system(operation: "make", path: "a pipe", code: errno) }
        defer { close(ends[0]) }
        // The supervisor must not hold our end, or it could not see us go.
        guard fcntl(ends[0], F_SETFD, FD_CLOEXEC) == 0 else {
            throw .system(operation: "make", path: "a pipe", code: errno)
        }
        let spawned = Result { () throws(InstallationError) in try spawn(arguments, waiter: ends[1]) }
        close(ends[1])
        let pid = try spawned.get()
        var mark: UInt8 = 0
        var count = read(ends[0], &mark, 1)
        while count < 0, errno == EINTR { count = read(ends[0], &mark, 1) }
        if count == 1, mark == Console.readyMark { return 0 }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return status & 0x7f == 0 ? max(status >> 8 & 0xff, 1) : 1
    }

    private static func spawn(_ arguments: [String], waiter: Int32) throws(InstallationError) -> pid_t {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Int16(TOLLGATE_POSIX_SPAWN_SETSID))

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, waiter, waiterDescriptor)
        posix_spawn_file_actions_addclosefrom_np(&actions, waiterDescriptor + 1)

        guard let program = realpath("/proc/self/exe", nil) else {
            throw .system(operation: "find", path: "/proc/self/exe", code: errno)
        }
        defer { free(program) }
        var strings = (["tollgate"] + arguments).map { strdup($0) } + [nil]
        defer { for string in strings { free(string) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, program, &actions, &attributes, &strings, tollgate_environment())
        guard code == 0 else {
            throw .system(operation: "run", path: String(cString: program), code: code)
        }
        return pid
    }
}
