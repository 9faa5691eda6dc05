import Glibc

/// Says who runs an installation, for as long as that process lives.
///
/// Two locks on one file. `flock` serves shell scripts. The record lock of `fcntl` tells others the process that holds it, from
/// the kernel and not from a file, so that no stale id is ever signalled. A process loses its record lock when it closes *any*
/// descriptor of the file, so the holder opens it once.
struct InstallationLock: ~Copyable {
    private let descriptor: Int32

    /// Takes the lock; somebody else's is an error.
    init(_ layout: InstallationLayout) throws(InstallationError) {
        let descriptor = open(layout.lockPath, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw .system(operation: "open", path: layout.lockPath, code: errno)
        }
        // A script that looks whether the lock is free holds it for a moment.
        var attemptsLeft = 20
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            attemptsLeft -= 1
            let holder = Self.holder(descriptor)
            guard holder == nil, attemptsLeft > 0 else {
                close(descriptor)
                throw .isRunning(directory: layout.directory, pid: holder)
            }
            usleep(25_000)
        }
        var request = Self.wholeFile(Int16(F_WRLCK))
        guard fcntl(descriptor, F_SETLK, &request) == 0 else {
            let code = errno
            close(descriptor)
            throw .system(operation: "lock", path: layout.lockPath, code: code)
        }
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }

    /// The process that runs the installation; nil when nobody does.
    static func holder(of layout: InstallationLayout) -> Int32? {
        let descriptor = open(layout.lockPath, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return holder(descriptor)
    }

    private static func holder(_ descriptor: Int32) -> Int32? {
        var question = wholeFile(Int16(F_WRLCK))
        guard fcntl(descriptor, F_GETLK, &question) == 0, question.l_type != Int16(F_UNLCK) else {
            return nil
        }
        return question.l_pid
    }

    private static func wholeFile(_ type: Int16) -> Glibc.flock {
        var lock = Glibc.flock()
        lock.l_type = type
        lock.l_whence = Int16(SEEK_SET)
        return lock
    }
}
