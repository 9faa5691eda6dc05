import Glibc
import PrivateServers
import Testing
import Threads

@Suite struct ServerTests {
    @Test func `a database of the shared PostgreSQL can be used and copied from a template`() throws {
        let postgres = try SharedServers.postgres()
        for _ in 0..<2 {
            let database = try SharedServers.database(template: "probe") { connectionString in
                #expect(connectionString.contains("dbname=template_probe"))
                _ = try postgres.run(sql: "CREATE TABLE t AS SELECT 42 AS a", database: "template_probe")
            }
            #expect(try postgres.run(sql: "SELECT a FROM t", database: database.name) == "42\n")
        }
    }

    @Test func `PostgreSQL keeps its data over a stop, a crash and a start`() throws {
        let directory = try TemporaryDirectory()
        let server = try PrivatePostgres(directory: directory.path, options: .forTests)
        _ = try server.run(sql: "CREATE TABLE t AS SELECT 1 AS a")
        server.stop()
        #expect(server.process == nil)
        try server.start()
        server.stop(isImmediate: true)
        try server.start()
        #expect(try server.run(sql: "SELECT a FROM t") == "1\n")
    }

    @Test func `a wrong PostgreSQL setting is told with the server's own words`() throws {
        let directory = try TemporaryDirectory()
        var options = PrivatePostgres.Options.forTests
        options.settings = ["no_such_setting=1"]
        let error = #expect(throws: ServerError.self) {
            _ = try PrivatePostgres(directory: directory.path, options: options)
        }
        #expect(error?.description.contains("no_such_setting") == true)
    }

    @Test func `a directory too long for a socket gets a short one`() throws {
        let directory = try TemporaryDirectory()
        let long = directory.path + "/" + String(repeating: "d", count: 90)
        let redis = try PrivateRedis(directory: long)
        #expect(redis.socketPath.hasPrefix("/tmp/tollgate-\(geteuid())-"))
        redis.stop()
        rmdir(String(redis.socketPath.dropLast("/redis.sock".utf8.count)))
        let postgres = try PrivatePostgres(directory: long, options: .forTests)
        #expect(postgres.socketDirectory.hasPrefix("/tmp/tollgate-\(geteuid())-"))
        #expect(try postgres.run(sql: "SELECT 1") == "1\n")
        postgres.stop()
        rmdir(postgres.socketDirectory)
    }

    @Test(.enabled(if: geteuid() == 0))
    func `a directory that PostgreSQL cannot reach is replaced for its data`() throws {
        let directory = try TemporaryDirectory()
        let closed = directory.path + "/closed"
        mkdir(closed, 0o700)
        let server = try PrivatePostgres(directory: closed, options: .forTests)
        #expect(server.dataDirectory.hasPrefix("/var/lib/tollgate/"))
        #expect(server.logPath.hasPrefix(closed))
        #expect(try server.run(sql: "SELECT 1") == "1\n")
        server.stop()
        rmdir(server.socketDirectory)
        try #require(server.dataDirectory.hasSuffix("/data"))
        _ = try ChildProcess.run([
            "/bin/rm", "-rf", String(server.dataDirectory.dropLast("/data".utf8.count)),
        ])
    }

    @Test func `Redis answers, and keeps its data over a restart`() throws {
        let redis = try SharedServers.Redis()
        #expect(try command(redis, "set", "a", "1") == "OK\n")
        #expect(try command(redis, "config", "get", "maxmemory-policy").contains("noeviction"))
        redis.server.stop()
        try redis.server.start()
        #expect(try command(redis, "get", "a") == "1\n")
    }

    @Test func `nginx serves, reloads and reports a broken configuration`() throws {
        let directory = try TemporaryDirectory()
        let port = try freePort()
        let path = directory.path + "/nginx.conf"
        try write(configuration(port: port, body: "one"), to: path)
        let nginx = try PrivateNginx(directory: directory.path, configurationPath: path, port: port)
        #expect(try fetch(port) == "one")
        try write(configuration(port: port, body: "two"), to: path)
        try nginx.reload()
        // The workers with the old configuration go on for a moment beside the new ones.
        let deadline = Deadline.after(seconds: 10)
        var streak = 0
        while streak < 30, !deadline.isPast { streak = try fetch(port) == "two" ? streak + 1 : 0 }
        #expect(streak == 30)
        try write("nonsense;", to: path)
        let error = #expect(throws: ServerError.self) { try nginx.reload() }
        #expect(error?.description.contains("unknown directive \"nonsense\"") == true)
        #expect(try fetch(port) == "two")
        nginx.stop()
    }

    private func command(_ redis: SharedServers.Redis, _ words: String...) throws -> String {
        try ChildProcess.run(["/usr/bin/redis-cli", "-s", redis.socketPath] + words)
    }

    private func fetch(_ port: UInt16) throws -> String {
        try ChildProcess.run(["/usr/bin/curl", "-sS", "http://127.0.0.1:\(port)/"])
    }

    private func configuration(port: UInt16, body: String) -> String {
        """
        pid nginx.pid;
        events {}
        http {
            access_log off;
            client_body_temp_path tmp_body; proxy_temp_path tmp_proxy; fastcgi_temp_path tmp_fastcgi;
            uwsgi_temp_path tmp_uwsgi; scgi_temp_path tmp_scgi;
            server { listen 127.0.0.1:\(port); location / { return 200 "\(body)"; } }
        }
        """
    }

    private func write(_ text: String, to path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        try #require(Glibc.write(descriptor, bytes, bytes.count) == bytes.count)
    }
}
