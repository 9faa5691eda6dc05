import PrivateServers
import Redis
import Synchronization
import Testing
import Threads

@Suite struct RedisClientTests {
    private let server: SharedServers.Redis
    private let client: RedisClient

    init() throws {
        server = try SharedServers.Redis()
        var configuration = RedisConfiguration(address: .unixSocket(server.socketPath))
        configuration.commandTimeoutMilliseconds = 10_000
        configuration.connectTimeoutMilliseconds = 10_000
        client = RedisClient(configuration)
    }

    @Test func `replies of every kind come back as they are`() throws {
        #expect(try client.command(["SET", "a", "1"]) == .status("OK"))
        #expect(try client.command(["INCR", "a"]) == .integer(2))
        #expect(try client.command(["GET", "a"]) == .bulk([UInt8(ascii: "2")]))
        #expect(try client.command(["GET", "a"]).integer == 2)
        #expect(try client.command(["GET", "none"]) == .null)
        #expect(try client.command(["KEYS", "none*"]) == .array([]))
        let nested = RedisScript(
            name: "nested", source: "return {1, 'x', {2, {3}}, false, redis.status_reply('S')}")
        let expected: [RedisReply] = [
            .integer(1), .bulk([UInt8(ascii: "x")]), .array([.integer(2), .array([.integer(3)])]), .null,
            .status("S"),
        ]
        #expect(try client.evaluate(nested, keys: []).elements == expected)
    }

    @Test func `a refused command throws its message and the next one works`() throws {
        _ = try client.command(["SET", "a", "text"])
        let error = #expect(throws: RedisError.self) { try client.command(["LPUSH", "a", "1"]) }
        #expect(error?.code == "WRONGTYPE")
        #expect(error?.isOutcomeUnknown == false)
        #expect(try client.command(["GET", "a"]).text == "text")
    }

    @Test func `a pipeline keeps the order and an error in its place`() throws {
        let replies = try client.pipeline([["SET", "p", "1"], ["NONSENSE"], ["GET", "p"], ["INCR", "p"]])
        #expect(replies.count == 4)
        #expect(replies[0] == .status("OK") && replies[2].integer == 1 && replies[3] == .integer(2))
        guard case .error = replies[1] else {
            Issue.record("\(replies[1])")
            return
        }
        #expect(try client.pipeline([]).isEmpty)
    }

    @Test func `words of any bytes and any size survive`() throws {
        let large = String(repeating: "0123456789", count: 1_000_000)
        for word in ["", "a b", "\r\n$5\r\n", "\0", "grüße 日本語", large] {
            _ = try client.command(["SET", "w", word])
            #expect(try client.command(["GET", "w"]).text == word)
        }
    }

    @Test func `a script gets its keys and arguments, also after Redis has forgotten it`() throws {
        let script = RedisScript(
            name: "echo", source: "redis.call('incr', 'runs') return {KEYS[1], KEYS[2], ARGV[1], #ARGV}")
        let expected: [RedisReply] = [
            .bulk(Array("k1".utf8)), .bulk(Array("k2".utf8)), .bulk([]), .integer(2),
        ]
        for _ in 0..<3 {
            #expect(
                try client.evaluate(script, keys: ["k1", "k2"], arguments: ["", "b"]).elements == expected)
        }
        _ = try client.command(["SCRIPT", "FLUSH"])
        for _ in 0..<3 {
            #expect(
                try client.evaluate(script, keys: ["k1", "k2"], arguments: ["", "b"]).elements == expected)
        }
        #expect(try client.command(["GET", "runs"]).integer == 6)
        let sum = try #require(try client.command(["INFO", "commandstats"]).text)
        #expect(sum.contains("cmdstat_evalsha:"))
    }

    @Test func `a read-only script cannot write`() throws {
        let reading = RedisScript(name: "read", source: "return redis.call('get', KEYS[1])", isReadOnly: true)
        _ = try client.command(["SET", "r", "7"])
        for _ in 0..<2 { #expect(try client.evaluate(reading, keys: ["r"]).integer == 7) }
        let writing = RedisScript(
            name: "write", source: "return redis.call('incr', KEYS[1])", isReadOnly: true)
        #expect(throws: RedisError.self) { try client.evaluate(writing, keys: ["r"]) }
    }

    @Test func `arguments know the server's identity and its time`() throws {
        let script = RedisScript(
            name: "time",
            source: "local t = redis.call('time') return {ARGV[1], ARGV[2], ARGV[3], t[1], t[2]}")
        let reply = try client.evaluate(script, keys: []) { (arguments, facts) throws(RedisError) in
            arguments.add(facts.identity.runID)
            arguments.add(facts.serverTimeMicroseconds())
            arguments.add(facts.notAfterMicroseconds)
        }
        let elements = try #require(reply.elements)
        let info = try #require(try client.command(["INFO", "server"]).text)
        #expect(info.contains("run_id:" + (elements[0].text ?? "?")))
        let estimate = try #require(elements[1].integer)
        let notAfter = try #require(elements[2].integer)
        let time = try #require(elements[3].integer) * 1_000_000 + (try #require(elements[4].integer))
        #expect(estimate <= time && time - estimate < 5_000_000)
        #expect(notAfter > time && notAfter - estimate <= 10_000_000)
        #expect(try client.facts().identity.runID == elements[0].text)
    }

    @Test func `numbers of any size arrive digit by digit`() throws {
        let script = RedisScript(name: "list", source: "return ARGV")
        let numbers: [Int64] = [0, -1, 9, 10, -10, 99, 100, 1 << 53, .max, .min]
        let reply = try client.evaluate(script, keys: []) { (arguments, _) throws(RedisError) in
            for number in numbers { arguments.add(number) }
        }
        #expect(reply.elements?.map(\.text) == numbers.map { String($0) })
    }

    @Test func `arguments that cannot be built send nothing and harm nobody`() throws {
        let script = RedisScript(name: "incr", source: "return redis.call('incr', 'n')")
        let identity = try client.facts().identity
        #expect(throws: RedisError.unknownIdentity(identity)) {
            try client.evaluate(script, keys: []) { (arguments, facts) throws(RedisError) in
                arguments.add("half of it")
                throw .unknownIdentity(facts.identity)
            }
        }
        #expect(try client.command(["EXISTS", "n"]) == .integer(0))
        #expect(try client.evaluate(script, keys: []) == .integer(1))
    }

    @Test func `sixty-four threads each get the replies to their own commands`() throws {
        let script = RedisScript(name: "own", source: "return {ARGV[1], redis.call('incr', KEYS[1])}")
        let right = Atomic(0)
        let threads = try (0..<64).map { number in
            try WorkerThread(name: "w") { [client] in
                for turn in 1...100 {
                    let word = "\(number):\(turn)"
                    // A failure is not counted, and the count is checked.
                    let reply = try? client.evaluate(script, keys: ["c\(number)"], arguments: [word])
                    let isOwn = reply?.elements == [.bulk(Array(word.utf8)), .integer(Int64(turn))]
                    let echo = try? client.command(["ECHO", word])
                    let list = try? client.pipeline([["ECHO", word], ["GET", "c\(number)"]])
                    let isListOwn = list?[0].text == word && list?[1].integer == Int64(turn)
                    if isOwn, echo?.text == word, isListOwn { right.add(1, ordering: .relaxed) }
                    if number == 0, turn % 20 == 0 { _ = try? client.command(["SCRIPT", "FLUSH"]) }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(right.load(ordering: .relaxed) == 64 * 100)
    }
}
