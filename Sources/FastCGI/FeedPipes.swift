import CLinux
import Glibc
import Threads

/// Pipes by which libfcgi is given the bytes of a request to parse.
///
/// It reads from descriptors only, and what it reads from a socket beyond the parameters it keeps. So it reads from a pipe that
/// holds exactly one request's parameters. A pipe is needed for some microseconds; there are as many as requests are parsed at once.
final class FeedPipes: Sendable {
    struct Pipe: Sendable {
        let reader: Int32
        let writer: Int32
        let capacity: Int
    }

    private static let capacityWanted: Int32 = 256 * 1_024

    private let idle: Locked<[Pipe]>

    init() throws(FastCGIError) {
        idle = Locked([try Self.make()])
    }

    deinit {
        for pipe in idle.withLock({ $0 }) { Self.close(pipe) }
    }

    /// Takes a pipe, which is empty; nil when there is none and no descriptor is left for one.
    func take() -> Pipe? {
        if let pipe = idle.withLock({ $0.popLast() }) { return pipe }
        // Without descriptors there is nothing to be told but that there is no pipe.
        return try? Self.make()
    }

    /// Gives back a pipe, which must be empty again.
    func giveBack(_ pipe: Pipe) {
        idle.withLock { $0.append(pipe) }
    }

    static func close(_ pipe: Pipe) {
        Glibc.close(pipe.reader)
        Glibc.close(pipe.writer)
    }

    /// Both ends never block: libfcgi gets an error where it would wait for more.
    private static func make() throws(FastCGIError) -> Pipe {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC | O_NONBLOCK) == 0 else { throw .system(call: "pipe2", code: errno) }
        _ = fcntl(ends[1], Int32(TOLLGATE_F_SETPIPE_SZ), capacityWanted)
        let capacity = fcntl(ends[1], Int32(TOLLGATE_F_GETPIPE_SZ))
        return Pipe(reader: ends[0], writer: ends[1], capacity: Int(capacity))
    }
}
