import Threads

/// What one thread wants from Redis.
struct RedisRequest: Sendable {
    enum Work: Sendable {
        case scripts([ScriptCall])
        case command([String])
        case pipeline([[String]])
        /// Only the facts of the connection, after proof that it works.
        case facts
    }

    let work: Work
    /// When it is too late to send it.
    let sendDeadline: Deadline
    /// What to do while Redis works.
    var meanwhile: (@Sendable () -> Void)?
}

/// What one thread gets from Redis.
enum RedisOutcome: Sendable {
    case reply(RedisReply)
    case replies([RedisReply])
    case results([Result<RedisReply, RedisError>])
    case facts(ConnectionFacts)
    case failure(RedisError)
}

/// One connection and the batches that go over it; only the thread that leads a batch touches it.
final class RedisLane: @unchecked Sendable {
    // `BatchLane` never runs two batches at the same time, and its mutex orders one leader's work before the next one's.
    private let configuration: RedisConfiguration
    private var connection: RedisConnection?
    private var commands = CommandBuffer()
    private let health: LaneHealth
    /// The commands of each write.
    let sent = BatchCount()

    /// How the replies to one request are found among those to the batch.
    private enum Slot {
        /// Was not sent.
        case refused(RedisError)
        /// One reply.
        case one
        /// This many replies.
        case many(Int)

        var replyCount: Int {
            switch self {
            case .refused: 0
            case .one: 1
            case .many(let count): count
            }
        }
    }

    init(_ configuration: RedisConfiguration, _ health: LaneHealth) {
        self.configuration = configuration
        self.health = health
    }

    /// Runs a batch: one write, and the replies in the order of the requests.
    func run(_ requests: [RedisRequest]) -> [RedisOutcome] {
        do throws(RedisError) {
            let connection = try readyConnection()
            return try run(requests, on: connection)
        } catch {
            return requests.map { _ in .failure(error) }
        }
    }

    private func readyConnection() throws(RedisError) -> RedisConnection {
        if let connection, connection.isQuiet, !connection.isIdentityStale {
            health.reportUp()
            return connection
        }
        connection = nil
        if let reason = health.recentFailure { throw .unreachable(reason) }
        do throws(RedisError) {
            let made = try RedisConnection(configuration)
            connection = made
            health.reportUp()
            return made
        } catch {
            health.reportDown(error.reason)
            throw error
        }
    }

    private func run(
        _ requests: [RedisRequest], on connection: RedisConnection
    ) throws(RedisError) -> [RedisOutcome] {
        try loadScripts(of: requests, on: connection)
        let deadline = Deadline.after(milliseconds: configuration.commandTimeoutMilliseconds)
        let facts = connection.facts.with(answerDeadline: deadline)
        commands.removeAll()
        let refreshCount = facts.isTimeStale ? RedisConnection.appendRefresh(to: &commands) : 0
        let slots = requests.map { append($0, facts) }
        let count = slots.reduce(refreshCount) { $0 + $1.replyCount }
        sent.add(items: count - refreshCount)
        var replies = try exchange(count, deadline, on: connection) {
            for request in requests { request.meanwhile?() }
        }
        connection.refresh(replies.prefix(refreshCount))
        replies.removeFirst(refreshCount)
        let failures = repeatForgotten(&replies, requests, slots, on: connection)
        var next = 0
        return zip(requests, slots).map { request, slot in
            let own = next..<next + slot.replyCount
            next = own.upperBound
            return outcome(of: request, slot, replies, own, failures, facts)
        }
    }

    /// Makes Redis know the scripts that nobody has called yet, so that they can be called by their digests.
    private func loadScripts(
        of requests: [RedisRequest], on connection: RedisConnection
    ) throws(RedisError) {
        for request in requests {
            guard case .scripts(let calls) = request.work else { continue }
            for call in calls where call.script.sha1 == nil { try load(call.script, on: connection) }
        }
    }

    private func load(_ script: RedisScript, on connection: RedisConnection) throws(RedisError) {
        commands.removeAll()
        commands.append(["SCRIPT", "LOAD", script.source])
        let deadline = Deadline.after(milliseconds: configuration.commandTimeoutMilliseconds)
        // Without a digest it is called by its text.
        let reply: RedisReply?
        do throws(RedisError) { reply = try exchange(1, deadline, on: connection).first } catch {
            // Nothing that a caller wants was sent.
            throw .unreachable(error.reason)
        }
        if let digest = reply?.text { script.sha1 = digest }
    }

    /// Calls the scripts that Redis has forgotten once more, by their text; the first attempt certainly did nothing.
    ///
    /// Returns the failures of second attempts, by their place among the replies.
    private func repeatForgotten(
        _ replies: inout [RedisReply], _ requests: [RedisRequest], _ slots: [Slot],
        on connection: RedisConnection
    ) -> [Int: RedisError] {
        var failures: [Int: RedisError] = [:]
        var sent: [Int] = []
        let deadline = Deadline.after(milliseconds: configuration.commandTimeoutMilliseconds)
        let facts = connection.facts.with(answerDeadline: deadline)
        commands.removeAll()
        var next = 0
        for (request, slot) in zip(requests, slots) {
            defer { next += slot.replyCount }
            guard case .scripts(let calls) = request.work, case .many = slot else { continue }
            for (place, call) in zip(next..., calls) {
                guard case .error(let message) = replies[place], message.hasPrefix("NOSCRIPT") else {
                    continue
                }
                let start = commands.bytes.count
                do throws(RedisError) {
                    try commands.append(
                        command: call.script.sourceCommand, script: call.script.source, call: call,
                        facts: facts)
                    sent.append(place)
                } catch {
                    commands.truncate(to: start)
                    failures[place] = error
                }
            }
        }
        guard !sent.isEmpty else { return failures }
        do throws(RedisError) {
            let second = try exchange(sent.count, deadline, on: connection)
            for (place, reply) in zip(sent, second) { replies[place] = reply }
        } catch {
            for place in sent { failures[place] = error }
        }
        return failures
    }

    private func append(_ request: RedisRequest, _ facts: ConnectionFacts) -> Slot {
        guard !request.sendDeadline.isPast else {
            return .refused(.unreachable("it could not be sent in time"))
        }
        switch request.work {
        case .command(let words):
            commands.append(words)
            return .one
        case .pipeline(let list):
            for words in list { commands.append(words) }
            return .many(list.count)
        case .facts:
            commands.append(["PING"])
            return .one
        case .scripts(let calls):
            let start = commands.bytes.count
            do throws(RedisError) {
                for call in calls {
                    let script = call.script
                    let digest = script.sha1
                    try commands.append(
                        command: digest == nil ? script.sourceCommand : script.digestCommand,
                        script: digest ?? script.source, call: call, facts: facts)
                }
                return .many(calls.count)
            } catch {
                commands.truncate(to: start)
                return .refused(error)
            }
        }
    }

    private func outcome(
        of request: RedisRequest, _ slot: Slot, _ replies: [RedisReply], _ own: Range<Int>,
        _ failures: [Int: RedisError], _ facts: ConnectionFacts
    ) -> RedisOutcome {
        for case .error(let message) in replies[own] where message.hasPrefix("READONLY") {
            // A primary that has become a replica: the next connect may find its successor.
            connection = nil
        }
        if case .refused(let error) = slot { return .failure(error) }
        switch request.work {
        case .facts:
            guard case .status = replies[own.lowerBound] else { return .reply(replies[own.lowerBound]) }
            return .facts(facts)
        case .command: return .reply(replies[own.lowerBound])
        case .pipeline: return .replies(Array(replies[own]))
        case .scripts:
            return .results(
                own.map { place in
                    if let failure = failures[place] { return .failure(failure) }
                    if case .error(let message) = replies[place] { return .failure(.server(message)) }
                    return .success(replies[place])
                })
        }
    }

    /// Exchanges what is in the buffer; a connection on which that fails is dropped.
    private func exchange(
        _ count: Int, _ deadline: Deadline, on connection: RedisConnection, meanwhile: () -> Void = {}
    ) throws(RedisError) -> [RedisReply] {
        do throws(RedisError) {
            return try connection.exchange(commands, count: count, until: deadline, meanwhile: meanwhile)
        } catch {
            self.connection = nil
            if deadline.isPast { health.reportDown("it did not reply in time") }
            throw error
        }
    }
}
