import Glibc
import Synchronization
import Threads

/// The servers that all tests of one process share, started when the first test asks and ended with the process.
///
/// A test gets a database of its own in the shared PostgreSQL, and a Redis of its own: a Redis starts in some ten
/// milliseconds, and its memory is one for all.
package final class SharedServers: Sendable {
    /// A database that exists as long as somebody refers to it.
    package final class Database: Sendable {
        /// Its name in its server.
        package let name: String
        /// The libpq connection string.
        package let connectionString: String
        /// Its server: the shared one, or one that the test may stop.
        package let server: PrivatePostgres

        /// Takes over a database that is there.
        package init(name: String, server: PrivatePostgres) {
            self.name = name
            self.server = server
            connectionString = server.connectionString(database: name)
        }

        /// Runs SQL with all rights; what it returns is as `psql` prints it, without headings.
        @discardableResult
        package func run(_ sql: String) throws(ServerError) -> String {
            try server.run(sql: sql, database: name)
        }

        deinit {
            // Only to save space: the server's directory is removed when the process exits. A server that is stopped keeps it.
            guard server.process?.isRunning == true else { return }
            _ = try? server.run(sql: "DROP DATABASE IF EXISTS \(name) WITH (FORCE)")
        }
    }

    /// A Redis that runs as long as somebody refers to it.
    package final class Redis: Sendable {
        /// The server, to be stopped and started as a test likes.
        package let server: PrivateRedis
        private let directory: TemporaryDirectory

        /// Starts a server with further settings.
        package init(settings: [String: String] = [:]) throws(ServerError) {
            directory = try TemporaryDirectory()
            server = try PrivateRedis(directory: directory.path, settings: settings)
        }

        deinit {
            server.stop(isImmediate: true)
        }

        /// Where it listens.
        package var socketPath: String { server.socketPath }
    }

    private static let started = Result<SharedServers, ServerError> { () throws(ServerError) in
        let servers = try SharedServers()
        atexit { SharedServers.stop() }
        return servers
    }

    private let directory: TemporaryDirectory
    private let server: PrivatePostgres
    private let databasesMade = Atomic<Int>(0)
    private let templates = Locked<Set<String>>([])

    private init() throws(ServerError) {
        directory = try TemporaryDirectory()
        server = try PrivatePostgres(directory: directory.path, options: .forTests)
    }

    /// The shared PostgreSQL, which a test must not stop: one that needs to makes its own `PrivatePostgres`.
    package static func postgres() throws(ServerError) -> PrivatePostgres {
        try started.get().server
    }

    /// Makes a database: an empty one, or a copy of a template that is prepared once per process.
    ///
    /// - Parameters:
    ///   - template: The template's name; lower-case letters, digits and underscores.
    ///   - prepare: Fills the template, given its connection string; it must close its connections before it returns.
    package static func database(
        template: String? = nil, prepare: (String) throws -> Void = { _ in }
    ) throws -> Database {
        let servers = try started.get()
        if let template { try servers.prepare(template, prepare) }
        let number = servers.databasesMade.add(1, ordering: .relaxed).newValue
        let name = "test_\(number)"
        let source = template.map { " TEMPLATE template_\($0)" } ?? ""
        _ = try servers.server.run(sql: "CREATE DATABASE \(name)\(source)")
        return Database(name: name, server: servers.server)
    }

    private func prepare(_ template: String, _ prepare: (String) throws -> Void) throws {
        // Held during the preparation, because the other tests that want this template have to wait for it.
        try templates.withLock { templates in
            guard !templates.contains(template) else { return }
            let name = "template_\(template)"
            _ = try server.run(sql: "DROP DATABASE IF EXISTS \(name)")
            _ = try server.run(sql: "CREATE DATABASE \(name)")
            try prepare(server.connectionString(database: name))
            templates.insert(template)
        }
    }

    private static func stop() {
        // Before the exit removes the directory. Not started is as good as stopped.
        guard case .success(let servers) = started else { return }
        servers.server.stop(isImmediate: true, until: .after(seconds: 5))
    }
}
