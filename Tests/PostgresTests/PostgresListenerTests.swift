import Glibc
import Postgres
import PrivateServers
import Synchronization
import TestTools
import Testing
import Threads

@Suite struct PostgresListenerTests {
    private final class Log: Sendable {
        let connects = Atomic(0)
        let notifications = Locked<[PostgresListener.Notification]>([])

        var callbacks: PostgresListener.Callbacks {
            PostgresListener.Callbacks(
                onConnect: { self.connects.add(1, ordering: .relaxed) },
                onNotification: { notification in self.notifications.withLock { $0.append(notification) } })
        }

        func wait(connects: Int, notifications: Int) -> Bool {
            Eventually.holds {
                self.connects.load(ordering: .relaxed) >= connects
                    && self.notifications.withLock({ $0.count }) >= notifications
            }
        }
    }

    private let notify = Statement(name: "notify", sql: "SELECT pg_notify($1, $2)")

    @Test func `notifications of the listened channels arrive in order`() throws {
        let database = try SharedServers.database()
        let configuration = PostgresConfiguration(connectionString: database.connectionString)
        let log = Log()
        let listener = try PostgresListener(
            configuration, channels: ["catalog", "we\"ird"], callbacks: log.callbacks)
        #expect(log.wait(connects: 1, notifications: 0))
        let pool = PostgresPool(configuration)
        _ = try pool.query(notify, [.text("catalog"), .text("1")])
        _ = try pool.query(notify, [.text("other"), .text("2")])
        _ = try pool.query(notify, [.text("we\"ird"), .text("")])
        #expect(log.wait(connects: 1, notifications: 2))
        #expect(log.notifications.withLock { $0.map(\.channel) } == ["catalog", "we\"ird"])
        #expect(log.notifications.withLock { $0.map(\.payload) } == ["1", ""])
        listener.stop()
    }

    @Test func `a listener survives a restart and tells that it has connected again`() throws {
        let directory = try TemporaryDirectory()
        let server = try PrivatePostgres(directory: directory.path, options: .forTests)
        let configuration = PostgresConfiguration(connectionString: server.connectionString())
        let log = Log()
        let listener = try PostgresListener(configuration, channels: ["catalog"], callbacks: log.callbacks)
        #expect(log.wait(connects: 1, notifications: 0))
        server.stop()
        try server.start()
        #expect(log.wait(connects: 2, notifications: 0))
        _ = try PostgresPool(configuration).query(notify, [.text("catalog"), .text("again")])
        #expect(log.wait(connects: 2, notifications: 1))
        listener.stop()
    }

    @Test func `stopping is quick, also while nobody can be reached`() throws {
        let start = Deadline.now
        let listener = try PostgresListener(
            PostgresConfiguration(connectionString: "host=/nonexistent"), channels: ["c"],
            callbacks: Log().callbacks)
        usleep(20_000)
        listener.stop()
        #expect(start.elapsedNanoseconds < 2_000_000_000)
    }
}
