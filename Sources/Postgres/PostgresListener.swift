import CLinux
import Glibc
import Synchronization
package import Threads

/// Hears the notifications of some channels, on a connection and a thread of its own, as long as somebody refers to it.
///
/// Notifications sent while there was no connection are lost, so `onConnect` runs after every connect, once the channels are
/// listened to: whoever reloads everything there misses nothing.
package final class PostgresListener: Sendable {
    /// One notification.
    package struct Notification: Sendable, Equatable {
        /// The channel it was sent to.
        package let channel: String
        /// What the sender said; possibly nothing.
        package let payload: String
    }

    /// Called on the listener's thread; until it returns, nothing else is heard.
    package struct Callbacks: Sendable {
        let onConnect: @Sendable () -> Void
        let onNotification: @Sendable (Notification) -> Void

        /// Creates the pair.
        package init(
            onConnect: @escaping @Sendable () -> Void,
            onNotification: @escaping @Sendable (Notification) -> Void
        ) {
            self.onConnect = onConnect
            self.onNotification = onNotification
        }
    }

    /// What the thread works with; it lives on in the thread until that has ended.
    fileprivate final class Loop: Sendable {
        let configuration: PostgresConfiguration
        let channels: [String]
        let callbacks: Callbacks
        let isStopping = Atomic(false)
        // An eventfd, readable once the thread has to end; closed in `deinit`.
        let wakeDescriptor: Int32

        static let backOffMillisecondsMin = 100
        static let backOffMillisecondsMax = 5_000
        /// How often a silent connection is asked whether it still is one.
        static let heartbeatMilliseconds = 15_000

        init(_ configuration: PostgresConfiguration, _ channels: [String], _ callbacks: Callbacks) {
            self.configuration = configuration
            self.channels = channels
            self.callbacks = callbacks
            wakeDescriptor = eventfd(0, Int32(EFD_CLOEXEC))
        }

        deinit {
            close(wakeDescriptor)
        }
    }

    private let loop: Loop
    private let thread: WorkerThread
    private let isStopped = Atomic(false)

    /// Starts listening.
    package init(
        _ configuration: PostgresConfiguration, channels: [String], callbacks: Callbacks
    ) throws(WorkerThread.CreationError) {
        let loop = Loop(configuration, channels, callbacks)
        self.loop = loop
        thread = try WorkerThread(name: "pg-listener") { loop.run() }
    }

    deinit {
        stop()
    }

    /// Stops listening and waits for the thread; not to be called from a callback.
    package func stop() {
        guard !isStopped.exchange(true, ordering: .acquiringAndReleasing) else { return }
        loop.isStopping.store(true, ordering: .releasing)
        var one: UInt64 = 1
        _ = write(loop.wakeDescriptor, &one, MemoryLayout<UInt64>.size)
        thread.join()
    }
}

extension PostgresListener.Loop {
    /// Listens, and connects again whenever the connection breaks, later each time it does not succeed.
    func run() {
        WorkerThread.blockAllSignals()
        var backOff = Self.backOffMillisecondsMin
        while !isStopping.load(ordering: .acquiring) {
            // A failure of any kind has the same answer: connect again.
            if let connection = try? listen() {
                backOff = Self.backOffMillisecondsMin
                callbacks.onConnect()
                hear(connection)
            } else {
                pause(milliseconds: backOff)
                backOff = min(backOff * 2, Self.backOffMillisecondsMax)
            }
        }
    }

    private func listen() throws(PostgresError) -> PostgresConnection {
        let connection = try PostgresConnection.open(configuration)
        for channel in channels {
            try connection.execute("LISTEN " + connection.quoted(identifier: channel))
        }
        return connection
    }

    /// Passes notifications on until the connection breaks or the listener is stopped.
    private func hear(_ connection: PostgresConnection) {
        while !isStopping.load(ordering: .acquiring), !connection.isBroken {
            while let (channel, payload) = connection.notification() {
                callbacks.onNotification(PostgresListener.Notification(channel: channel, payload: payload))
            }
            var entries = [
                pollfd(fd: connection.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wakeDescriptor, events: Int16(POLLIN), revents: 0),
            ]
            if poll(&entries, 2, Int32(Self.heartbeatMilliseconds)) == 0 {
                // A broken connection says so itself, and the loop ends.
                _ = try? connection.execute("SELECT 1")
            } else {
                connection.receive()
            }
        }
    }

    private func pause(milliseconds: Int) {
        var entry = pollfd(fd: wakeDescriptor, events: Int16(POLLIN), revents: 0)
        poll(&entry, 1, Int32(milliseconds))
    }
}
