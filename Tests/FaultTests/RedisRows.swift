import Core
import Foundation
import Gateway
import Glibc
import Ledger
import PrivateServers
import Quota
import Redis
import Settlement
import TestSupport
import TestTools
import Testing
import Threads

extension FaultRows {
    /// Rows 5 to 13: faults of Redis.
    @Suite(.serialized) struct RedisRows {
        /// What a client may see while Redis is away or empty: a refusal.
        private static let refusal: Set<String> = ["503"]
        /// After the second that a rebuild may take, on a busy machine.
        private static let refusalMilliseconds: Int64 = 1_500
        /// After the 300 ms that Redis may take, on a busy machine.
        private static let timeoutMilliseconds: Int64 = 800

        @Test func `row 5: FLUSHALL`() throws {
            let scene = try FaultScene(try FaultScene.makeGateway())
            let report = try scene.run("5", "FLUSHALL") { scene in
                try scene.repeatedly { _ = try scene.redis(["FLUSHALL"]) }
            }
            report.expectErrors(only: Self.refusal, withinMilliseconds: Self.refusalMilliseconds)
        }

        @Test func `row 6: the image of one tenant is deleted`() throws {
            let scene = try FaultScene(try FaultScene.makeGateway())
            let tenant = try scene.caller("rich-1").tenant
            let report = try scene.run("6", "DEL of one tenant's hash") { scene in
                try scene.repeatedly { _ = try scene.redis(["DEL", QuotaKeys(tenant).tenant]) }
            }
            report.expectErrors(only: Self.refusal, withinMilliseconds: Self.refusalMilliseconds)
            #expect(report.errors.allSatisfy { $0.tenant == tenant })
        }

        @Test func `row 7: Redis is killed and started again`() throws {
            let scene = try FaultScene(try FaultScene.makeGateway())
            let server = scene.gateway.stores.redis.server
            let report = try scene.run("7", "Redis killed and started (everysec)") { scene in
                try scene.repeatedly {
                    server.stop(isImmediate: true)
                    scene.pass(200)
                    try server.start()
                }
            }
            report.expectErrors(only: Self.refusal, withinMilliseconds: Self.refusalMilliseconds)
        }

        @Test func `row 8: Redis comes back with an older copy of its file`() throws {
            let scene = try FaultScene(try FaultScene.makeGateway())
            let server = scene.gateway.stores.redis.server
            let data = server.directory + "/appendonlydir"
            let copy = server.directory + "/older"
            // A copy in which nothing is spent.
            server.stop()
            try FileManager.default.copyItem(atPath: data, toPath: copy)
            try server.start()
            let report = try scene.run("8", "Redis started with an older file") { scene in
                server.stop(isImmediate: true)
                try FileManager.default.removeItem(atPath: data)
                try FileManager.default.moveItem(atPath: copy, toPath: data)
                try server.start()
                scene.pass(scene.form.fault)
            }
            report.expectErrors(only: Self.refusal, withinMilliseconds: Self.refusalMilliseconds)
        }

        @Test func `row 9: Redis stops answering, and everybody is told so at once`() throws {
            let scene = try FaultScene(try FaultScene.makeGateway())
            let process = try #require(scene.gateway.stores.redis.server.process)
            let responder = try #require(try scene.gateway.processes()[0])
            var threads: [Int] = []
            let report = try scene.run("9", "Redis stopped") { scene in
                process.send(SIGSTOP)
                defer { process.send(SIGCONT) }
                for _ in 0..<10 {
                    scene.pass(scene.form.fault / 10)
                    threads.append(ProcessFamily.threads(of: responder.pid))
                }
            }
            #expect(!report.errors.isEmpty)
            report.expectErrors(only: Self.refusal, withinMilliseconds: Self.timeoutMilliseconds)
            // A worker for each client, and those that are always there.
            #expect((threads.max() ?? 0) < scene.form.clients + 40, "threads: \(threads)")
        }

        @Test func `row 10: Redis sleeps for two seconds`() throws {
            let scene = try FaultScene(try FaultScene.makeGateway(redis: ["enable-debug-command": "yes"]))
            let report = try scene.run("10", "DEBUG SLEEP 2") { scene in
                // Our own client does not wait so long either; Redis sleeps all the same.
                _ = try? scene.redis(["DEBUG", "SLEEP", "2"])
                scene.pass(2_000 + scene.form.fault)
            }
            #expect(!report.errors.isEmpty)
            report.expectErrors(only: Self.refusal, withinMilliseconds: Self.timeoutMilliseconds)
        }

        @Test func `row 11: SCRIPT FLUSH costs no request`() throws {
            let scene = try FaultScene(try FaultScene.makeGateway())
            let report = try scene.run("11", "SCRIPT FLUSH, 20 a second") { scene in
                for _ in 0..<(scene.form.fault / 50) {
                    _ = try scene.redis(["SCRIPT", "FLUSH"])
                    scene.pass(50)
                }
            }
            report.expectErrors(only: [])
        }

        @Test func `row 12: a Redis without memory refuses holds and ends those that are taken`() throws {
            let scene = try FaultScene(try FaultScene.makeGateway())
            var areEnded = false
            let report = try scene.run("12", "Redis' maxmemory reached") { scene in
                _ = try scene.redis(["CONFIG", "SET", "maxmemory", "1"])
                // Streams of a second and a half were running; nothing new begins.
                areEnded = try Eventually.holds(seconds: 20) {
                    try scene.gateway.stores.money.quota.tenantsWithHolds().isEmpty
                }
                _ = try scene.redis(["CONFIG", "SET", "maxmemory", "0"])
            }
            #expect(areEnded, "holds are not given back")
            #expect(!report.errors.isEmpty)
            report.expectErrors(only: Self.refusal, withinMilliseconds: Self.refusalMilliseconds)
        }

        @Test func `row 13: a replica is promoted that has not seen the last writes`() throws {
            let port = try freePort()
            let scene = try FaultScene(
                try FaultScene.makeGateway(redis: ["port": "\(port)", "bind": "127.0.0.1"]))
            let primary = scene.gateway.stores.redis.server
            let replica = try SharedServers.Redis()
            let client = RedisClient(RedisConfiguration(address: .unixSocket(replica.socketPath)))
            _ = try client.command(["REPLICAOF", "127.0.0.1", "\(port)"])
            let isLinked = try Eventually.holds {
                try client.command(["INFO", "replication"]).text?.contains("master_link_status:up") == true
            }
            #expect(isLinked)
            let report = try scene.run("13", "Redis replica promoted, its tail lost") { scene in
                _ = try client.command(["REPLICAOF", "NO", "ONE"])
                // What the primary takes from here on is lost.
                scene.waitForAnswers(scene.form.clients * 2)
                primary.stop(isImmediate: true)
                unlink(primary.socketPath)
                #expect(symlink(replica.socketPath, primary.socketPath) == 0)
                scene.pass(scene.form.fault)
            }
            report.expectErrors(only: Self.refusal, withinMilliseconds: Self.refusalMilliseconds)
        }
    }
}

extension FaultScene {
    /// Sends Redis a command.
    func redis(_ words: [String]) throws -> RedisReply {
        try gateway.stores.money.redis.command(words)
    }
}
