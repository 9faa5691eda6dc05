import PrivateServers
import Redis
import TestTools
import Testing
import Threads

@Suite struct RedisSubscriberTests {
    private final class Heard: Sendable {
        let messages = Locked<[String]>([])

        func add(_ message: String) { messages.withLock { $0.append(message) } }
    }

    private func subscribers(_ redis: RedisClient, _ channel: String) throws -> Int64 {
        try redis.command(["PUBSUB", "NUMSUB", channel]).elements?.last?.integer ?? 0
    }

    @Test func `what is published on the channel is heard in its order, and nothing else`() throws {
        let server = try SharedServers.Redis()
        let redis = RedisClient(RedisConfiguration(address: .unixSocket(server.socketPath)))
        let heard = Heard()
        let subscriber = try redis.subscribe(to: "news") { heard.add($0) }
        #expect(try Eventually.holds { try subscribers(redis, "news") == 1 })
        for index in 0..<50 {
            _ = try redis.command(["PUBLISH", "news", "n\(index)"])
            _ = try redis.command(["PUBLISH", "other", "x"])
        }
        #expect(Eventually.holds { heard.messages.withLock { $0.count } == 50 })
        #expect(heard.messages.withLock { $0 } == (0..<50).map { "n\($0)" })
        subscriber.stop()
        #expect(try Eventually.holds { try subscribers(redis, "news") == 0 })
    }

    @Test func `a connection that breaks is made anew`() throws {
        let server = try SharedServers.Redis()
        let redis = RedisClient(RedisConfiguration(address: .unixSocket(server.socketPath)))
        let heard = Heard()
        let subscriber = try redis.subscribe(to: "news") { heard.add($0) }
        #expect(try Eventually.holds { try subscribers(redis, "news") == 1 })
        #expect(try redis.command(["CLIENT", "KILL", "TYPE", "pubsub"]).integer == 1)
        #expect(try Eventually.holds { try subscribers(redis, "news") == 1 })
        _ = try redis.command(["PUBLISH", "news", "again"])
        #expect(Eventually.holds { heard.messages.withLock { $0 } == ["again"] })
        subscriber.stop()
    }
}
