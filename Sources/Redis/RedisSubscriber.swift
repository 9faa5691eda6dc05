import CLinux
import Glibc
import Synchronization
package import Threads

/// Hears what is published on one channel, on a connection and a thread of its own, as long as somebody refers to it.
///
/// What is published while there is no connection is lost: whoever relies on it looks for itself now and then.
package final class RedisSubscriber: Sendable {
    /// What the thread works with; it lives on in the thread until that has ended.
    fileprivate final class Loop: Sendable {
        let configuration: RedisConfiguration
        let channel: String
        let onMessage: @Sendable (String) -> Void
        let isStopping = Atomic(false)
        // An eventfd, readable once the thread has to end; closed in `deinit`.
        let wakeDescriptor: Int32

        static let backOffMillisecondsMin = 100
        static let backOffMillisecondsMax = 5_000
        /// How often a silent connection is asked whether it still is one.
        static let heartbeatMilliseconds = 15_000

        init(
            _ configuration: RedisConfiguration, _ channel: String,
            _ onMessage: @escaping @Sendable (String) -> Void
        ) {
            self.configuration = configuration
            self.channel = channel
            self.onMessage = onMessage
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
    ///
    /// - Parameter onMessage: Called on the listener's thread; until it returns, nothing else is heard.
    package init(
        _ configuration: RedisConfiguration, channel: String,
        onMessage: @escaping @Sendable (String) -> Void
    ) throws(WorkerThread.CreationError) {
        let loop = Loop(configuration, channel, onMessage)
        self.loop = loop
        thread = try WorkerThread(name: "redis-listener") { loop.run() }
    }

    deinit {
        stop()
    }

    /// Stops listening and waits for the thread; not to be called from the callback.
    package func stop() {
        guard !isStopped.exchange(true, ordering: .acquiringAndReleasing) else { return }
        loop.isStopping.store(true, ordering: .releasing)
        var one: UInt64 = 1
        _ = write(loop.wakeDescriptor, &one, MemoryLayout<UInt64>.size)
        thread.join()
    }
}

extension RedisSubscriber.Loop {
    /// Listens, and connects again whenever the connection breaks, later each time it does not succeed.
    func run() {
        WorkerThread.blockAllSignals()
        var backOff = Self.backOffMillisecondsMin
        while !isStopping.load(ordering: .acquiring) {
            // A failure of any kind has the same answer: connect again.
            try? listen { backOff = Self.backOffMillisecondsMin }
            pause(milliseconds: backOff)
            backOff = min(backOff * 2, Self.backOffMillisecondsMax)
        }
    }

    /// Passes messages on until the connection breaks or the listener is stopped.
    private func listen(_ onSubscribed: () -> Void) throws(RedisError) {
        let connection = try RedisConnection(configuration)
        try post(["SUBSCRIBE", channel], on: connection)
        var isAsked = false
        while !isStopping.load(ordering: .acquiring) {
            let milliseconds = isAsked ? configuration.commandTimeoutMilliseconds : Self.heartbeatMilliseconds
            let reply = try connection.nextReply(
                milliseconds: milliseconds, unlessReadable: wakeDescriptor)
            guard let words = reply?.elements else {
                // Stopped, silent even though it was asked, or long silent.
                guard !isAsked else { return }
                isAsked = true
                try post(["PING"], on: connection)
                continue
            }
            isAsked = false
            switch words.first?.text {
            case "subscribe": onSubscribed()
            case "message": if let text = words.last?.text { onMessage(text) }
            default: break
            }
        }
    }

    private func post(_ words: [String], on connection: RedisConnection) throws(RedisError) {
        var commands = CommandBuffer()
        commands.append(words)
        try connection.post(
            commands, until: .after(milliseconds: configuration.commandTimeoutMilliseconds))
    }

    private func pause(milliseconds: Int) {
        var entry = pollfd(fd: wakeDescriptor, events: Int16(POLLIN), revents: 0)
        poll(&entry, 1, Int32(milliseconds))
    }
}
