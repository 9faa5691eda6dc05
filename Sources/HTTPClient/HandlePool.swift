import Glibc
import Synchronization
import Threads

/// Idle libcurl handles, the most recently used of a URL first, so that few connections stay warm instead of many lukewarm.
///
/// Kept in several parts, each with a mutex of its own: a thread begins with its own part and looks into the others only when
/// that is empty. One mutex for all made a convoy of the threads: a quarter of the time at 16 threads on two cores.
final class HandlePool: Sendable {
    private struct IdleHandle {
        let handle: TransferHandle
        let since: Deadline
    }

    private final class Part: Sendable {
        /// The one that was used last comes last.
        let idle = Locked<[IdleHandle]>([])
    }

    private static let partCountBits = 4

    private let parts = (0..<(1 << partCountBits)).map { _ in Part() }
    private let count = Atomic<Int>(0)
    private let idleMax: Int
    private let idleMilliseconds: Int

    init(idleMax: Int, idleMilliseconds: Int) {
        self.idleMax = idleMax
        self.idleMilliseconds = idleMilliseconds
    }

    /// The most recently used handle of this URL whose connection is still usable; nil when there is none.
    ///
    /// A connection opened with permission to go to a private address does not serve a request without it.
    func take(_ url: String, allowsPrivateAddresses: Bool) -> TransferHandle? {
        let own = ownPart
        for offset in 0..<parts.count {
            let part = parts[(own + offset) % parts.count]
            while count.load(ordering: .relaxed) > 0 {
                let candidate = part.idle.withLock { idle in
                    let index = idle.lastIndex {
                        $0.handle.url == url && $0.handle.allowsPrivateAddresses == allowsPrivateAddresses
                    }
                    return index.map { idle.remove(at: $0) }
                }
                guard let candidate else { break }
                count.subtract(1, ordering: .relaxed)
                let isFresh = !candidate.since.advanced(milliseconds: idleMilliseconds).isPast
                if isFresh && candidate.handle.isConnectionQuiet() { return candidate.handle }
            }
        }
        return nil
    }

    /// Keeps a handle whose transfer ended well; when there are too many, the oldest one near it gives way.
    func put(_ handle: TransferHandle) {
        let now = Deadline.now
        let isFull = count.add(1, ordering: .relaxed).oldValue >= idleMax
        // What is dropped is freed after the mutex, because closing a connection may be I/O.
        let dropped: TransferHandle? = parts[ownPart].idle.withLock { idle in
            if isFull && idle.isEmpty { return handle }
            let dropped = isFull ? idle.removeFirst().handle : nil
            idle.append(IdleHandle(handle: handle, since: now))
            return dropped
        }
        if dropped != nil { count.subtract(1, ordering: .relaxed) }
    }

    /// Drops what has been idle too long, and returns how many.
    ///
    /// For a thread that has time: closing connections may be I/O.
    func prune() -> Int {
        let now = Deadline.now
        var droppedCount = 0
        for part in parts {
            let dropped: [TransferHandle] = part.idle.withLock { idle in
                let expired = idle.prefix { $0.since.advanced(milliseconds: idleMilliseconds) <= now }
                idle.removeFirst(expired.count)
                return expired.map(\.handle)
            }
            count.subtract(dropped.count, ordering: .relaxed)
            droppedCount += dropped.count
        }
        return droppedCount
    }

    private var ownPart: Int {
        // The bits above a thread's page-aligned stack, mixed so that neighbours differ.
        Int((UInt64(pthread_self()) >> 12 &* 0x9E37_79B9_7F4A_7C15) >> UInt64(64 - Self.partCountBits))
    }
}
