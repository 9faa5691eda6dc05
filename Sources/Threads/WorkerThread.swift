import CLinux
import Glibc

/// A POSIX thread with a stack of a chosen size.
package struct WorkerThread: Sendable {
    // `pthread_t` is an integer on Linux; it is only joined by whoever holds this value.
    private let handle: pthread_t

    /// The thread could not be created (`EAGAIN`: limits of the process or the machine).
    package struct CreationError: Error {
        /// The `errno` value that `pthread_create` returned.
        package let code: Int32
    }

    private final class Box: Sendable {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Starts a thread that runs `body` once.
    ///
    /// - Parameters:
    ///   - name: What `top -H` shows; cut to 15 bytes, as the kernel does.
    ///   - stackBytes: The stack; rounded up to the system's least size.
    ///   - isDetached: A detached thread frees itself; any other must be joined.
    package init(
        name: String, stackBytes: Int = 512 * 1024, isDetached: Bool = false,
        body: @escaping @Sendable () -> Void
    ) throws(CreationError) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, max(stackBytes, 128 * 1024))
        pthread_attr_setdetachstate(
            &attributes, Int32(isDetached ? PTHREAD_CREATE_DETACHED : PTHREAD_CREATE_JOINABLE))
        let box = Unmanaged.passRetained(Box(name: name, body: body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                let box = Unmanaged<Box>.fromOpaque(argument).takeRetainedValue()
                pthread_setname_np(pthread_self(), String(box.name.utf8.prefix(15)) ?? "worker")
                box.body()
                return nil
            }, box.toOpaque())
        guard code == 0 else {
            box.release()
            throw CreationError(code: code)
        }
        handle = thread
    }

    /// Waits until the thread has ended.
    ///
    /// Call once, and not for a detached thread.
    package func join() {
        pthread_join(handle, nil)
    }

    /// Blocks every signal in this thread and those it starts from now on, so that only a `sigwait` thread receives them.
    package static func blockAllSignals() {
        var everything = sigset_t()
        sigfillset(&everything)
        pthread_sigmask(SIG_BLOCK, &everything, nil)
    }
}
