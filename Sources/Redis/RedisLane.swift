import Threads

/// What one thread wants from Redis.
struct RedisRequest: Sendable {
    typealias Arguments = @Sendable (inout ScriptArguments, ConnectionFacts) throws(RedisError) -> Void

    enum Work: Sendable {
        case script(RedisScript, keys: [String], arguments: Arguments)
        case command([String])
        case pipeline([[String]])
        /// Only the facts of the connection, after proof that it works.
        case facts
    }

    let work: Work
    /// When it is too late to send it.
    let sendDeadline: Deadline
}

/// What one thread gets from Redis.
enum RedisOutcome: Sendable {
    case reply(RedisReply)
    case replies([RedisReply])
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

    /// How the replies to one request are found among those to the batch.
    private enum Slot {
        /// Was not sent.
        case refused(RedisError)
        /// This many replies, of which the last counts.
        case last(of: Int)
        /// This many replies, which all count.
        case all(Int)

        var replyCount: Int {
            switch self {
            case .refused: 0
            case .last(let count), .all(let count): count
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
        let deadline = Deadline.after(milliseconds: configuration.commandTimeoutMilliseconds)
        let facts = connection.facts.with(answerDeadline: deadline)
        commands.removeAll()
        let refreshCount = facts.isTimeStale ? RedisConnection.appendRefresh(to: &commands) : 0
        let slots = requests.map { append($0, facts) }
        let count = slots.reduce(refreshCount) { $0 + $1.replyCount }
        var replies = try exchange(count, deadline, on: connection)[...]
        connection.refresh(replies.prefix(refreshCount))
        replies.removeFirst(refreshCount)
        var unknownScripts: [Int] = []
        var outcomes: [RedisOutcome] = []
        outcomes.reserveCapacity(requests.count)
        for (index, slot) in slots.enumerated() {
            let own = replies.prefix(slot.replyCount)
            replies.removeFirst(slot.replyCount)
            let outcome = self.outcome(of: requests[index], slot, own, facts)
            if case .reply(.error(let message)) = outcome {
                if message.hasPrefix("NOSCRIPT") { unknownScripts.append(index) }
                // A primary that has become a replica: the next connect may find its successor.
                if message.hasPrefix("READONLY") { self.connection = nil }
            }
            outcomes.append(outcome)
        }
        if !unknownScripts.isEmpty { repeatInFull(unknownScripts, of: requests, on: connection, &outcomes) }
        return outcomes
    }

    /// Runs the scripts that Redis has forgotten once more, from their text; the first attempt certainly did nothing.
    private func repeatInFull(
        _ indices: [Int], of requests: [RedisRequest], on connection: RedisConnection,
        _ outcomes: inout [RedisOutcome]
    ) {
        let deadline = Deadline.after(milliseconds: configuration.commandTimeoutMilliseconds)
        let facts = connection.facts.with(answerDeadline: deadline)
        commands.removeAll()
        var sent: [Int] = []
        for index in indices {
            guard case .script(let script, let keys, let arguments) = requests[index].work else { continue }
            let start = commands.bytes.count
            do throws(RedisError) {
                try commands.append(command: script.sourceCommand, script: script.source, keys: keys) {
                    (list) throws(RedisError) in try arguments(&list, facts)
                }
                sent.append(index)
            } catch {
                commands.truncate(to: start)
                outcomes[index] = .failure(error)
            }
        }
        do throws(RedisError) {
            for (index, reply) in zip(sent, try exchange(sent.count, deadline, on: connection)) {
                outcomes[index] = .reply(reply)
            }
        } catch {
            for index in sent { outcomes[index] = .failure(error) }
        }
    }

    private func append(_ request: RedisRequest, _ facts: ConnectionFacts) -> Slot {
        guard !request.sendDeadline.isPast else {
            return .refused(.unreachable("it could not be sent in time"))
        }
        switch request.work {
        case .command(let words):
            commands.append(words)
            return .last(of: 1)
        case .pipeline(let list):
            for words in list { commands.append(words) }
            return .all(list.count)
        case .facts:
            commands.append(["PING"])
            return .last(of: 1)
        case .script(let script, let keys, let arguments):
            let start = commands.bytes.count
            do throws(RedisError) {
                if let digest = script.sha1 {
                    try commands.append(command: script.digestCommand, script: digest, keys: keys) {
                        (list) throws(RedisError) in try arguments(&list, facts)
                    }
                    return .last(of: 1)
                }
                commands.append(["SCRIPT", "LOAD", script.source])
                try commands.append(command: script.sourceCommand, script: script.source, keys: keys) {
                    (list) throws(RedisError) in try arguments(&list, facts)
                }
                return .last(of: 2)
            } catch {
                commands.truncate(to: start)
                return .refused(error)
            }
        }
    }

    private func outcome(
        of request: RedisRequest, _ slot: Slot, _ replies: ArraySlice<RedisReply>, _ facts: ConnectionFacts
    ) -> RedisOutcome {
        switch slot {
        case .refused(let error): return .failure(error)
        case .all: return .replies(Array(replies))
        case .last:
            guard let reply = replies.last else { preconditionFailure("a request without a reply") }
            if case .script(let script, _, _) = request.work, replies.count == 2 {
                script.sha1 = replies.first?.text
            }
            if case .facts = request.work, case .status = reply { return .facts(facts) }
            return .reply(reply)
        }
    }

    /// Exchanges what is in the buffer; a connection on which that fails is dropped.
    private func exchange(
        _ count: Int, _ deadline: Deadline, on connection: RedisConnection
    ) throws(RedisError) -> [RedisReply] {
        do throws(RedisError) {
            return try connection.exchange(commands, count: count, until: deadline)
        } catch {
            self.connection = nil
            if deadline.isPast { health.reportDown("it did not reply in time") }
            throw error
        }
    }
}
