import Core
import Foundation
import Gateway
import Glibc
import PrivateServers
import TestSupport
import TestTools
import Testing
import Threads

extension FaultRows {
    /// Rows 14 to 17: faults of PostgreSQL.
    @Suite(.serialized) struct PostgresRows {
        /// What a client may see while the ledger is away: a refusal, an answer withheld, a stream that ends with an error event.
        private static let failures: Set<String> = ["503", "500", "cut"]
        /// Behind a slow stream two turns at the ledger, the one under way and one's own: each a connection that does not come, and a
        /// statement with half a second on top.
        private static let boundMilliseconds: Int64 = 20_000

        private func makeScene(
            _ settings: [String] = [], environment: [String: String] = [:]
        ) throws -> (FaultScene, PrivatePostgres) {
            let directory = try TemporaryDirectory()
            var options = PrivatePostgres.Options.forTests
            options.settings += settings
            let server = try PrivatePostgres(directory: directory.path, options: options)
            let gateway = try FaultScene.makeGateway(postgres: server, environment: environment)
            return (try FaultScene(gateway, keeping: directory), server)
        }

        @Test func `row 14: PostgreSQL crashes and recovers`() throws {
            let (scene, server) = try makeScene()
            let report = try scene.run("14", "PostgreSQL stopped immediately, started") { scene in
                try scene.repeatedly {
                    server.stop(isImmediate: true)
                    scene.pass(200)
                    try server.start()
                }
            }
            report.expectErrors(only: Self.failures, withinMilliseconds: Self.boundMilliseconds)
        }

        @Test func `row 15: PostgreSQL stops answering`() throws {
            let (scene, server) = try makeScene()
            let process = try #require(server.process)
            let report = try scene.run("15", "PostgreSQL stopped (SIGSTOP)") { scene in
                let members = ProcessFamily.members(of: process.pid)
                ProcessFamily.send(SIGSTOP, to: members)
                defer { ProcessFamily.send(SIGCONT, to: members) }
                // Longer than a turn takes, in the full form than any request may.
                scene.pass(max(scene.form.fault * 3, 12_000))
            }
            #expect(!report.errors.isEmpty)
            report.expectErrors(only: Self.failures, withinMilliseconds: Self.boundMilliseconds)
        }

        @Test func `row 16: PostgreSQL takes no writes`() throws {
            let (scene, server) = try makeScene(environment: ["TOLLGATE_LOG_LEVEL": "info"])
            let report = try scene.run("16", "PostgreSQL read-only") { scene in
                try server.setReadOnly(true)
                scene.pass(scene.form.fault)
                try server.setReadOnly(false)
            }
            #expect(!report.errors.isEmpty)
            report.expectErrors(only: Self.failures, withinMilliseconds: Self.boundMilliseconds)
            let log = try String(contentsOfFile: try scene.gateway.processes().logPath(0), encoding: .utf8)
            #expect(log.contains("read-only"), "the log does not say why")
        }

        @Test func `row 17: PostgreSQL has no connection left`() throws {
            let (scene, server) = try makeScene(["max_connections=40"])
            let report = try scene.run("17", "PostgreSQL's connections exhausted") { scene in
                let ends = Deadline.after(milliseconds: scene.form.fault)
                let hoarder = try Concurrently.begin(1) { _ in
                    let hoard = ConnectionHoard(server)
                    while !ends.isPast {
                        hoard.takeAll()
                        usleep(1_000)
                    }
                    return hoard.count
                }
                while !ends.isPast {
                    _ = try server.run(
                        sql: """
                            SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                             WHERE usename = 'tollgate_app' AND application_name <> ''
                            """)
                    scene.pass(200)
                }
                #expect(try hoarder.wait()[0] > 25)
            }
            #expect(!report.errors.isEmpty)
            report.expectErrors(only: Self.failures, withinMilliseconds: Self.boundMilliseconds)
        }
    }
}

extension PrivatePostgres {
    /// Refuses all writes from the next database transaction on, or takes them again.
    fileprivate func setReadOnly(_ isReadOnly: Bool) throws {
        _ = try run(sql: "ALTER SYSTEM SET default_transaction_read_only = \(isReadOnly ? "on" : "off")")
        _ = try run(sql: "SELECT pg_reload_conf()")
    }
}

/// Connections to PostgreSQL that do nothing but be there.
private final class ConnectionHoard {
    private let path: String
    private var descriptors: [Int32] = []

    init(_ server: PrivatePostgres) {
        path = server.socketDirectory + "/.s.PGSQL.5432"
    }

    deinit { release() }

    var count: Int { descriptors.count }

    /// Opens connections as the application until there are none left.
    func takeAll() {
        while descriptors.count < 200, let descriptor = TestSocket.connect(path: path, timeoutSeconds: 5) {
            var words: [UInt8] = []
            for word in ["user", "tollgate_app", "database", "ledger", ""] { words += Array(word.utf8) + [0] }
            // The length of all, and the protocol's version 3.0.
            var head: [UInt8] = []
            for number in [UInt32(8 + words.count), 196_608] {
                head += [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
            }
            TestSocket.send(head + words, on: descriptor)
            var answer: UInt8 = 0
            guard recv(descriptor, &answer, 1, 0) == 1, answer == UInt8(ascii: "R") else {
                close(descriptor)
                return
            }
            descriptors.append(descriptor)
        }
    }

    /// Gives them back.
    func release() {
        for descriptor in descriptors { close(descriptor) }
        descriptors = []
    }
}
