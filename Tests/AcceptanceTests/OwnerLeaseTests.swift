import Core
import Foundation
import Gateway
import Glibc
import Ledger
import PrivateServers
import Quota
import TestSupport
import TestTools
import Testing
import Threads

/// A process that cannot renew its lease stops before anybody may end what is its own.
@Suite struct OwnerLeaseTests {
    private static let leaseSeconds = 4

    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    /// A gateway on a PostgreSQL that a test may stop.
    private func scene(_ label: String) throws -> (StreamingScene, PrivatePostgres) {
        let postgres = try PrivatePostgres(directory: directory.path, options: .forTests)
        let gateway = try TestGateway(
            environment: ["TOLLGATE_OWNER_LEASE_SECONDS": String(Self.leaseSeconds)], postgres: postgres)
        return (try StreamingScene(label, at: gateway), postgres)
    }

    /// Sends a signal to the server and to its children, which are what answers.
    private func send(_ signal: Int32, to postgres: PrivatePostgres) throws {
        let server = try #require(postgres.process).pid
        let names = try FileManager.default.contentsOfDirectory(atPath: "/proc")
        let children = names.compactMap { Int32($0) }.filter { pid in
            let status = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
            return status?.contains("\nPPid:\t\(server)\n") == true
        }
        for pid in [server] + children { kill(pid, signal) }
    }

    @Test func `while PostgreSQL is frozen streams end before the lease does, and nobody else begins`() throws
    {
        let (scene, postgres) = try scene("frozen")
        let client = try scene.ask(#""max_tokens":64"#)
        let call = try scene.provider.call()
        call.begin()
        call.piece("one")
        #expect(client.waits(for: "\"one\""))
        try send(SIGSTOP, to: postgres)
        let frozen = Deadline.now
        var pieces = 0
        while !call.isLeft(milliseconds: 50), frozen.elapsedNanoseconds < 30_000_000_000 {
            pieces += 1
            call.piece("p\(pieces).")
        }
        // The provider is left when relaying ends, hardly later than the lease that was renewed before PostgreSQL froze.
        let seconds = Double(frozen.elapsedNanoseconds) / 1e9
        #expect(seconds < Double(Self.leaseSeconds) + 1)
        #expect(!client.waits(for: "nothing of the kind", milliseconds: 200))
        let relayed = client.events.count
        let refused = try TestHTTP.post(
            scene.gateway.url + "/v1/chat/completions", key: scene.caller.key,
            EndpointsCaller.body(scene.model))
        #expect(refused.status == 503)
        let log = try String(contentsOfFile: scene.gateway.tollgatedLogPath, encoding: .utf8)
        #expect(log.contains("OWNER_LEASE_LOST"))
        try send(SIGCONT, to: postgres)
        #expect(client.readsToEnd())
        #expect(client.events.count <= relayed + 1, "nothing but the end is sent once the lease is lost")
        #expect(client.events.last?.contains("[DONE]") == false)
        let row = try scene.caller.settledRow()
        #expect(row.status == "committed" && row.usageSource == "observed" && row.isError)
        #expect(row.interruptedBy == "lease")
        let isServed = try Eventually.holds {
            try TestHTTP.get(scene.gateway.url + "/readyz").status == 200
        }
        #expect(isServed)
    }

    @Test func `the rows of a process that renews its lease are nobody else's, however long its streams are`()
        throws
    {
        let (scene, _) = try scene("renewed")
        let client = try scene.ask(#""max_tokens":64"#)
        let call = try scene.provider.call()
        call.begin()
        let began = Deadline.now
        var pieces = 0
        while began.elapsedNanoseconds < Int64(Self.leaseSeconds) * 2_000_000_000 {
            pieces += 1
            call.piece("p\(pieces).")
            #expect(client.waits(for: "p\(pieces)."))
            #expect(try scene.gateway.command("job", "sweep", "--hold-grace-seconds", "1").status == 0)
            #expect(try scene.caller.onlyRow().status == "pending")
            usleep(200_000)
        }
        call.stop()
        call.usage(prompt: 10, completion: pieces)
        call.end()
        #expect(client.readsToEnd())
        let row = try scene.caller.settledRow()
        #expect(row.streamCompleted && row.usage.output == Int64(pieces))
    }
}
