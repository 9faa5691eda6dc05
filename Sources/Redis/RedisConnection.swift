import CHiredis
import Glibc
import Threads

/// One connection to Redis, with a deadline on every exchange.
///
/// After a failed exchange it must be dropped: a late reply would otherwise be taken for that of another command.
final class RedisConnection {
    // hiredis connects and parses; the bytes are sent and received here, because its own calls raise SIGPIPE and know no deadline.
    private let context: UnsafeMutablePointer<redisContext>
    private var received = [UInt8](repeating: 0, count: 64 * 1024)
    /// What is known of it; the answer deadline is that of the connect until somebody sets another.
    private(set) var facts: ConnectionFacts
    /// Whether the server's data has entered another life under this connection, which then has to be made anew.
    private(set) var isIdentityStale = false

    /// Connects and asks who the server is and what time it has.
    init(_ configuration: RedisConfiguration) throws(RedisError) {
        let deadline = Deadline.after(milliseconds: configuration.connectTimeoutMilliseconds)
        context = try Self.connect(configuration.address, deadline)
        let nobody = RedisIdentity(runID: "", replicationID: "")
        facts = ConnectionFacts(
            identity: nobody, anchorMicroseconds: 0, anchor: .now, answerDeadline: deadline)
        do throws(RedisError) {
            try introduce(configuration, deadline)
        } catch {
            // Nothing of the caller's was sent, whatever happened to the questions.
            throw .unreachable("\(configuration.address): \(error.reason)")
        }
    }

    deinit {
        redisFree(context)
    }

    /// Whether nothing has arrived without being asked for: neither the end of the connection nor a reply too many.
    var isQuiet: Bool {
        var entry = pollfd(fd: context.pointee.fd, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) == 0
    }

    /// Appends the questions that keep the facts true on a connection that lasts, and returns how many.
    static func appendRefresh(to commands: inout CommandBuffer) -> Int {
        commands.append(["INFO", "replication"])
        commands.append(["TIME"])
        return 2
    }

    /// Takes over the answers to the refreshing questions, if they were asked.
    func refresh(_ replies: ArraySlice<RedisReply>) {
        guard let replication = replies.first, let microseconds = replies.last?.timeMicroseconds else {
            return
        }
        facts = facts.with(anchorMicroseconds: microseconds, anchor: .now)
        isIdentityStale = replication.field("master_replid") != facts.identity.replicationID
    }

    /// Sends the commands and returns their replies, in order.
    func exchange(
        _ commands: CommandBuffer, count: Int, until deadline: Deadline, meanwhile: () -> Void = {}
    ) throws(RedisError) -> [RedisReply] {
        var replies: [RedisReply] = []
        replies.reserveCapacity(count)
        var sent = 0
        var isWaiting = false
        while true {
            sent += try send(commands, from: sent)
            if !isWaiting, sent == commands.bytes.count {
                isWaiting = true
                meanwhile()
            }
            while replies.count < count, let reply = try parse() { replies.append(reply) }
            if replies.count == count { break }
            let events = sent < commands.bytes.count ? POLLIN | POLLOUT : POLLIN
            var entry = pollfd(fd: context.pointee.fd, events: Int16(events), revents: 0)
            guard poll(&entry, 1, deadline.remainingMilliseconds) > 0 || !deadline.isPast else {
                throw .outcomeUnknown("no reply in time")
            }
            try receive()
        }
        guard sent == commands.bytes.count,
            context.pointee.reader.pointee.pos == context.pointee.reader.pointee.len
        else { throw .outcomeUnknown("a reply that nobody asked for") }
        return replies
    }

    /// Sends commands whose replies are taken one by one.
    func post(_ commands: CommandBuffer, until deadline: Deadline) throws(RedisError) {
        var sent = try send(commands, from: 0)
        while sent < commands.bytes.count {
            var entry = pollfd(fd: context.pointee.fd, events: Int16(POLLOUT), revents: 0)
            poll(&entry, 1, deadline.remainingMilliseconds)
            guard !deadline.isPast else { throw .outcomeUnknown("it could not be sent in time") }
            sent += try send(commands, from: sent)
        }
    }

    /// The next reply, also one that nobody asked for; nil when none came in time, or the descriptor became readable first.
    func nextReply(
        milliseconds: Int, unlessReadable descriptor: Int32
    ) throws(RedisError) -> RedisReply? {
        if let reply = try parse() { return reply }
        let deadline = Deadline.after(milliseconds: milliseconds)
        while !deadline.isPast {
            var entries = [
                pollfd(fd: context.pointee.fd, events: Int16(POLLIN), revents: 0),
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&entries, 2, deadline.remainingMilliseconds) > 0 else { continue }
            if entries[1].revents != 0 { return nil }
            try receive()
            if let reply = try parse() { return reply }
        }
        return nil
    }

    private func send(_ commands: CommandBuffer, from start: Int) throws(RedisError) -> Int {
        let left = commands.bytes.count - start
        guard left > 0 else { return 0 }
        let count = commands.bytes.withUnsafeBytes { bytes in
            Glibc.send(
                context.pointee.fd, bytes.baseAddress?.advanced(by: start), left,
                Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
        }
        if count >= 0 { return count }
        let code = errno
        if code == EAGAIN || code == EINTR { return 0 }
        let reason = String(cString: strerror(code))
        throw start == 0 ? .unreachable(reason) : .outcomeUnknown(reason)
    }

    private func receive() throws(RedisError) {
        let count = recv(context.pointee.fd, &received, received.count, Int32(MSG_DONTWAIT))
        if count > 0 {
            let code = received.withUnsafeBytes { bytes in
                redisReaderFeed(context.pointee.reader, bytes.baseAddress, count)
            }
            guard code == REDIS_OK else { throw .outcomeUnknown("out of memory") }
            return
        }
        if count == 0 { throw .outcomeUnknown("the server closed the connection") }
        let code = errno
        guard code == EAGAIN || code == EINTR else {
            throw .outcomeUnknown(String(cString: strerror(code)))
        }
    }

    /// Takes the next reply that has been received whole; nil when there is none.
    private func parse() throws(RedisError) -> RedisReply? {
        var reply: UnsafeMutableRawPointer?
        guard redisReaderGetReply(context.pointee.reader, &reply) == REDIS_OK else {
            throw .outcomeUnknown("not a reply of Redis")
        }
        guard let reply else { return nil }
        defer { freeReplyObject(reply) }
        return RedisReply(reply.assumingMemoryBound(to: redisReply.self))
    }
}

// MARK: - Connecting

extension RedisConnection {
    private static func connect(
        _ address: RedisConfiguration.Address, _ deadline: Deadline
    ) throws(RedisError) -> UnsafeMutablePointer<redisContext> {
        let made =
            switch address {
            case .unixSocket(let path): redisConnectUnixNonBlock(path)
            case .tcp(let host, let port): redisConnectNonBlock(host, Int32(port))
            }
        guard let context = made else { throw .unreachable("\(address): out of memory") }
        var reason: String?
        if context.pointee.err != 0 {
            reason = withUnsafeBytes(of: context.pointee.errstr) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
        } else {
            var entry = pollfd(fd: context.pointee.fd, events: Int16(POLLOUT), revents: 0)
            while poll(&entry, 1, deadline.remainingMilliseconds) <= 0, reason == nil {
                if deadline.isPast { reason = "no answer in time" }
            }
            reason = reason ?? socketError(context.pointee.fd)
        }
        guard let reason else {
            _ = fcntl(context.pointee.fd, F_SETFD, FD_CLOEXEC)
            return context
        }
        redisFree(context)
        throw .unreachable("\(address): \(reason)")
    }

    private static func socketError(_ descriptor: Int32) -> String? {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length)
        return code == 0 ? nil : String(cString: strerror(code))
    }

    private func introduce(
        _ configuration: RedisConfiguration, _ deadline: Deadline
    ) throws(RedisError) {
        var commands = CommandBuffer()
        var count = 4
        if let password = configuration.password {
            commands.append(["AUTH"] + (configuration.username.map { [$0] } ?? []) + [password])
            count += 1
        }
        commands.append(["CLIENT", "SETNAME", configuration.clientName])
        commands.append(["INFO", "server"])
        commands.append(["INFO", "replication"])
        commands.append(["TIME"])
        let replies = try exchange(commands, count: count, until: deadline)
        if configuration.password != nil, case .error(let message) = replies[0] { throw .server(message) }
        // Its name may be refused by an access list; what follows may not.
        for reply in replies.suffix(3) {
            if case .error(let message) = reply { throw .server(message) }
        }
        guard let runID = replies[count - 3].field("run_id"),
            let replicationID = replies[count - 2].field("master_replid"),
            let microseconds = replies[count - 1].timeMicroseconds
        else { throw .server("its INFO lacks run_id or master_replid") }
        // Its data may be taken over at any moment, which would change the identity under this connection.
        guard replies[count - 2].field("role") == "master" else {
            throw .server("it is a replica: connect to its primary")
        }
        facts = ConnectionFacts(
            identity: RedisIdentity(runID: runID, replicationID: replicationID),
            anchorMicroseconds: microseconds, anchor: .now, answerDeadline: deadline)
    }
}
