import Synchronization
package import Threads

/// Runs scripts and commands in one Redis for any number of threads, which share a few connections.
///
/// What several threads ask for at the same time goes out in one write. Every call is bounded: it is sent within the command
/// timeout or not at all, and answered within another; connecting adds the connect timeout. While the server cannot be
/// reached calls fail at once, but for one that tries to connect every tenth of a second.
package final class RedisClient: Sendable {
    private let lanes: [(health: LaneHealth, lane: RedisLane, queue: BatchLane<RedisRequest, RedisOutcome>)]
    private let next = Atomic<UInt>(0)
    private let commandTimeoutMilliseconds: Int
    private let configuration: RedisConfiguration

    /// Creates a client; nothing is connected yet.
    package init(_ configuration: RedisConfiguration) {
        precondition(configuration.lanes > 0)
        self.configuration = configuration
        commandTimeoutMilliseconds = configuration.commandTimeoutMilliseconds
        lanes = (0..<configuration.lanes).map { _ in
            let health = LaneHealth()
            let lane = RedisLane(configuration, health)
            let queue = BatchLane(itemsMax: configuration.batchMax, waitingMax: configuration.waitingMax) {
                requests in lane.run(requests)
            }
            return (health, lane, queue)
        }
    }

    /// Hears what is published on a channel, on a connection of its own, for as long as what is returned lives.
    package func subscribe(
        to channel: String, onMessage: @escaping @Sendable (String) -> Void
    ) throws(WorkerThread.CreationError) -> RedisSubscriber {
        try RedisSubscriber(configuration, channel: channel, onMessage: onMessage)
    }

    /// Runs a script.
    ///
    /// - Parameters:
    ///   - script: The script; Redis is sent its text only when it does not know it.
    ///   - keys: What KEYS contains.
    ///   - arguments: Writes ARGV, as `ScriptCall` says.
    /// - Returns: What the script returned; an error it returned is thrown.
    package func evaluate(
        _ script: RedisScript, keys: [String], arguments: @escaping ScriptCall.Arguments
    ) throws(RedisError) -> RedisReply {
        let results = try evaluate([ScriptCall(script, keys: keys, arguments: arguments)])
        guard let result = results.first else { preconditionFailure("a call has a result") }
        return try result.get()
    }

    /// Runs a script whose arguments do not depend on the connection.
    package func evaluate(
        _ script: RedisScript, keys: [String], arguments: [String] = []
    ) throws(RedisError) -> RedisReply {
        try evaluate(script, keys: keys) { (list, _) throws(RedisError) in
            for argument in arguments { list.add(argument) }
        }
    }

    /// Runs scripts in one write and returns what became of each call, in order.
    ///
    /// Throws what became of all of them.
    ///
    /// - Parameter meanwhile: Runs once on some thread when they have been sent, before the replies are waited for; not at all
    ///   when they could not be sent.
    package func evaluate(
        _ calls: [ScriptCall], meanwhile: (@Sendable () -> Void)? = nil
    ) throws(RedisError) -> [Result<RedisReply, RedisError>] {
        guard !calls.isEmpty else { return [] }
        guard case .results(let results) = try submit(.scripts(calls), meanwhile: meanwhile) else {
            preconditionFailure("calls have results")
        }
        return results
    }

    /// Runs one command.
    package func command(_ words: [String]) throws(RedisError) -> RedisReply {
        try single(.command(words))
    }

    /// Runs commands together and returns their replies in order; one that is refused has an error among them.
    ///
    /// All of them share the command timeout, so a long list belongs into several calls, of a thousand commands or so.
    package func pipeline(_ commands: [[String]]) throws(RedisError) -> [RedisReply] {
        guard !commands.isEmpty else { return [] }
        guard case .replies(let replies) = try submit(.pipeline(commands)) else {
            preconditionFailure("a pipeline has replies")
        }
        return replies
    }

    /// The facts of a connection that works.
    package func facts() throws(RedisError) -> ConnectionFacts {
        switch try submit(.facts) {
        case .facts(let facts): return facts
        case .reply(.error(let message)): throw .server(message)
        case .reply, .replies, .results, .failure: preconditionFailure("facts are asked with PING")
        }
    }

    /// How many calls went out together in one write.
    package var batches: BatchFigures {
        lanes.reduce(BatchFigures()) { $0 + $1.lane.sent.figures }
    }

    private func single(_ work: RedisRequest.Work) throws(RedisError) -> RedisReply {
        guard case .reply(let reply) = try submit(work) else {
            preconditionFailure("a command has one reply")
        }
        if case .error(let message) = reply { throw .server(message) }
        return reply
    }

    private func submit(
        _ work: RedisRequest.Work, meanwhile: (@Sendable () -> Void)? = nil
    ) throws(RedisError) -> RedisOutcome {
        let lane = lanes[Int(next.add(1, ordering: .relaxed).newValue % UInt(lanes.count))]
        let request = RedisRequest(
            work: work, sendDeadline: .after(milliseconds: commandTimeoutMilliseconds),
            meanwhile: meanwhile)
        try lane.health.admit()
        guard let outcome = lane.queue.submit(request) else {
            lane.health.reportUntried()
            throw .overloaded
        }
        if case .failure(let error) = outcome { throw error }
        return outcome
    }
}
