import Glibc
import PrivateServers
import Redis
import Synchronization
import TestTools
import Testing
import Threads

@Suite struct RedisFaultTests {
    private func client(
        _ server: SharedServers.Redis, _ change: (inout RedisConfiguration) -> Void = { _ in }
    )
        -> RedisClient
    {
        var configuration = RedisConfiguration(address: .unixSocket(server.socketPath))
        configuration.connectTimeoutMilliseconds = 10_000
        configuration.commandTimeoutMilliseconds = 10_000
        change(&configuration)
        return RedisClient(configuration)
    }

    /// Asks until Redis answers again.
    private func recovers(_ client: RedisClient) -> Bool {
        // Failing is what is expected at first.
        Eventually.holds { (try? client.command(["PING"])) == .status("PONG") }
    }

    @Test func `a sleeping server is a timeout, and no late reply reaches anybody`() throws {
        let server = try SharedServers.Redis(settings: ["enable-debug-command": "yes"])
        let client = client(server) { $0.commandTimeoutMilliseconds = 300 }
        let wrong = Atomic(0)
        let unknown = Atomic(0)
        let threads = try (0..<16).map { number in
            try WorkerThread(name: "w") {
                for turn in 0..<60 {
                    let word = "\(number):\(turn)"
                    do throws(RedisError) {
                        if number == 0, turn == 10 { _ = try client.command(["DEBUG", "SLEEP", "0.7"]) }
                        if try client.command(["ECHO", word]).text != word {
                            wrong.add(1, ordering: .relaxed)
                        }
                    } catch {
                        if error.isOutcomeUnknown { unknown.add(1, ordering: .relaxed) }
                    }
                    usleep(5_000)
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(wrong.load(ordering: .relaxed) == 0)
        #expect(unknown.load(ordering: .relaxed) > 0)
        #expect(recovers(client))
    }

    @Test func `a restart changes the identity, and idle connections are replaced without an error`() throws {
        let server = try SharedServers.Redis()
        let client = client(server)
        let before = try client.facts().identity
        _ = try client.facts()
        server.server.stop(isImmediate: true)
        let error = #expect(throws: RedisError.self) { try client.command(["PING"]) }
        #expect(error?.isOutcomeUnknown == false)
        try server.server.start()
        #expect(recovers(client))
        let after = try client.facts().identity
        #expect(after.runID != before.runID)
        _ = try client.facts()
    }

    @Test func `a stopped server costs each call a bounded time, and calls then fail at once`() throws {
        let server = try SharedServers.Redis()
        let client = client(server) {
            $0.connectTimeoutMilliseconds = 300
            $0.commandTimeoutMilliseconds = 300
        }
        #expect(recovers(client))
        server.server.process?.send(SIGSTOP)
        let slowest = Locked<Int64>(0)
        let calls = Atomic(0)
        let end = Deadline.after(milliseconds: 2_000)
        let threads = try (0..<48).map { _ in
            try WorkerThread(name: "w") {
                while !end.isPast {
                    let start = Deadline.now
                    // Every call fails; how long that takes is measured.
                    _ = try? client.command(["PING"])
                    let time = start.elapsedNanoseconds
                    slowest.withLock { $0 = max($0, time) }
                    calls.add(1, ordering: .relaxed)
                    usleep(1_000)
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(slowest.withLock { $0 } < 2_500_000_000)
        #expect(calls.load(ordering: .relaxed) > 1_000, "most calls fail at once")
        server.server.process?.send(SIGCONT)
        #expect(recovers(client))
    }

    @Test func `more waiting threads than allowed are refused`() throws {
        let server = try SharedServers.Redis(settings: ["enable-debug-command": "yes"])
        let client = client(server) {
            $0.waitingMax = 0
        }
        _ = try client.command(["PING"])
        let sleeper = try WorkerThread(name: "w") { _ = try? client.command(["DEBUG", "SLEEP", "0.5"]) }
        usleep(200_000)
        #expect(throws: RedisError.overloaded) { try client.command(["PING"]) }
        sleeper.join()
        #expect(try client.command(["PING"]) == .status("PONG"))
    }

    @Test func `nobody listening, a wrong password and a wrong host are unreachable with the reason`() throws
    {
        let server = try SharedServers.Redis(settings: ["requirepass": "right"])
        let right = client(server) { $0.password = "right" }
        #expect(try right.command(["PING"]) == .status("PONG"))
        let wrong = client(server) { $0.password = "wrong" }
        let refusal = #expect(throws: RedisError.self) { try wrong.command(["PING"]) }
        #expect(refusal?.description.contains("WRONGPASS") == true)
        let none = client(server)
        let missing = #expect(throws: RedisError.self) { try none.command(["PING"]) }
        #expect(missing?.description.contains("NOAUTH") == true)
        let nowhere = RedisClient(RedisConfiguration(address: .unixSocket("/nonexistent/redis.sock")))
        let error = #expect(throws: RedisError.self) { try nowhere.command(["PING"]) }
        #expect(error?.description.contains("No such file or directory") == true)
        let port = try freePort()
        let closed = RedisClient(RedisConfiguration(address: .tcp(host: "127.0.0.1", port: port)))
        let refused = #expect(throws: RedisError.self) { try closed.command(["PING"]) }
        #expect(refused?.description.contains("Connection refused") == true)
    }

    @Test func `Redis is reached by TCP as well`() throws {
        let port = try freePort()
        let server = try SharedServers.Redis(settings: ["port": String(port), "bind": "127.0.0.1"])
        let client = RedisClient(RedisConfiguration(address: .tcp(host: "127.0.0.1", port: port)))
        #expect(try client.command(["SET", "a", "1"]) == .status("OK"))
        #expect(try client.facts().identity == self.client(server).facts().identity)
    }

    @Test func `writes are refused at the memory limit and a script that allows it still works`() throws {
        let server = try SharedServers.Redis()
        let client = client(server)
        _ = try client.command(["CONFIG", "SET", "maxmemory", "1"])
        let error = #expect(throws: RedisError.self) { try client.command(["SET", "a", "1"]) }
        #expect(error?.code == "OOM")
        let settling = RedisScript(
            name: "settle", source: "#!lua flags=allow-oom\nreturn redis.call('incr', KEYS[1])")
        #expect(try client.evaluate(settling, keys: ["a"]) == .integer(1))
    }

    @Test func `a replica is refused, and once promoted it has another identity`() throws {
        let server = try SharedServers.Redis()
        let client = client(server)
        let before = try client.facts().identity
        let writing = RedisScript(name: "set", source: "return redis.call('set', 'a', 1)")
        _ = try client.command(["REPLICAOF", "127.0.0.1", "1"])
        let refusal = #expect(throws: RedisError.self) { try client.evaluate(writing, keys: []) }
        #expect(refusal?.code == "READONLY")
        let error = #expect(throws: RedisError.self) { try client.evaluate(writing, keys: []) }
        #expect(error?.description.contains("it is a replica") == true)
        _ = try ChildProcess.run(["/usr/bin/redis-cli", "-s", server.socketPath, "replicaof", "no", "one"])
        #expect(recovers(client))
        let after = try client.facts().identity
        #expect(after.runID == before.runID)
        #expect(after.replicationID != before.replicationID)
    }
}
