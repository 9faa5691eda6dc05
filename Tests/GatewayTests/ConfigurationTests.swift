import Core
import FastCGI
import Foundation
import Gateway
import HTTPClient
import Logging
import PrivateServers
import Redis
import Testing

@Suite struct ConfigurationTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    /// A file with this content.
    private func file(_ name: String, _ content: String) throws -> String {
        let path = directory.path + "/" + name
        try Data(content.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }

    /// What must be set, and nothing else.
    private func least() throws -> [String: String] {
        [
            "TOLLGATE_DATABASE": "host=/run/postgresql dbname=tollgate",
            "TOLLGATE_REDIS": "/run/redis/redis.sock",
            "TOLLGATE_PEPPER_FILE": try file("pepper", String(repeating: "p", count: 32) + "\n"),
        ]
    }

    /// The mistakes in an environment; none when it can be used.
    private func mistakes(_ environment: [String: String]) -> [String] {
        do throws(ConfigurationError) {
            _ = try Configuration(environment: environment)
            return []
        } catch {
            return error.mistakes
        }
    }

    @Test func `three settings are enough, and the rest has defaults`() throws {
        let configuration = try Configuration(environment: try least())
        #expect(configuration.store.migrateDatabase == configuration.store.database)
        #expect(configuration.socketPath == nil)
        #expect(configuration.responder.workersMin == 8)
        #expect(configuration.responder.workersMax == 1_024)
        #expect(
            configuration.holds.outputTokensDefault == 4_096 && configuration.holds.streamInitialTokens == 256
                && configuration.holds.leastTokens == 16
        )
        #expect(configuration.drainSeconds == 60)
        #expect(configuration.upstreamTimeouts.totalMilliseconds == 600_000)
        #expect(configuration.logLevel == .info)
        #expect(configuration.crashAt == nil)
    }

    @Test func `what is set is used`() throws {
        var environment = try least()
        environment["TOLLGATE_MIGRATE_DATABASE"] = "host=/other"
        environment["TOLLGATE_WORKERS_MIN"] = "3"
        environment["TOLLGATE_WORKERS_MAX"] = "5"
        environment["TOLLGATE_REQUEST_SECONDS_MAX"] = "9"
        environment["TOLLGATE_LOG_LEVEL"] = "debug"
        environment["TOLLGATE_SOCKET"] = "/run/tollgate/socket"
        let configuration = try Configuration(environment: environment)
        #expect(configuration.store.migrateDatabase == "host=/other")
        #expect(configuration.responder.workersMin == 3)
        #expect(configuration.responder.workersMax == 5)
        #expect(configuration.upstreamTimeouts.totalMilliseconds == 9_000)
        #expect(configuration.logLevel == .debug)
        #expect(configuration.socketPath == "/run/tollgate/socket")
    }

    @Test func `an empty value counts as none`() throws {
        var environment = try least()
        for name in [
            "TOLLGATE_WORKERS_MAX", "TOLLGATE_LOG_LEVEL", "TOLLGATE_SOCKET", "TOLLGATE_REDIS_PASSWORD",
        ] {
            environment[name] = ""
        }
        let configuration = try Configuration(environment: environment)
        #expect(configuration.responder.workersMax == 1_024)
        #expect(configuration.socketPath == nil)
        environment["TOLLGATE_DATABASE"] = ""
        #expect(
            mistakes(environment).map { $0.prefix(25) }
                == ["TOLLGATE_DATABASE is not s"].map { $0.prefix(25) })
    }

    @Test func `all mistakes are told at once, each with its variable`() throws {
        let environment = [
            "TOLLGATE_WORKERS_MAX": "none", "TOLLGATE_QUEUE_MAX": "-1", "TOLLGATE_DRAIN_SECONDS": "3601",
            "TOLLGATE_LOG_LEVEL": "loud", "TOLLGATE_PEPPER_FILE": directory.path + "/missing",
            "TOLLGATE_OUTPUT_TOKENS_MAX": "1.5", "TOLLGATE_KEEP_ALIVE_SECONDS": "99999999999999999999",
            "TOLLGATE_REDIS_TIMEOUT_MILLISECONDS": "0x10",
        ]
        let mistakes = mistakes(environment)
        for name in environment.keys.sorted() + ["TOLLGATE_DATABASE", "TOLLGATE_REDIS"] {
            #expect(
                mistakes.filter { $0.hasPrefix(name + " ") || $0.hasPrefix(name + ":") }.count == 1, "\(name)"
            )
        }
        #expect(mistakes.count == environment.count + 2)
        #expect(mistakes.contains("TOLLGATE_QUEUE_MAX is '-1', but must be a whole number from 0 to 100000"))
        #expect(
            mistakes.contains {
                $0.hasPrefix("TOLLGATE_LOG_LEVEL is 'loud', but must be one of trace, debug, info")
            })
        #expect("\(ConfigurationError(mistakes: mistakes))" == mistakes.joined(separator: "\n"))
    }

    @Test func `fewer workers at most than at least is a mistake, not a crash`() throws {
        var environment = try least()
        environment["TOLLGATE_WORKERS_MAX"] = "4"
        #expect(try Configuration(environment: environment).responder.workersMin == 4)
        environment["TOLLGATE_WORKERS_MIN"] = "5"
        #expect(
            mistakes(environment) == ["TOLLGATE_WORKERS_MIN is '5', but must be a whole number from 0 to 4"])
    }

    @Test func `there are connections for all that run and wait`() throws {
        var environment = try least()
        #expect(try Configuration(environment: environment).responder.connectionsMax == 8_192)
        environment["TOLLGATE_WORKERS_MAX"] = "20000"
        environment["TOLLGATE_QUEUE_MAX"] = "5000"
        #expect(try Configuration(environment: environment).responder.connectionsMax > 25_000)
    }

    @Test func `the pepper comes from its file, or from systemd's credentials`() throws {
        var environment = try least()
        let pepper = try Configuration(environment: environment).store.pepper.bytes
        #expect(pepper == Array(String(repeating: "p", count: 32).utf8))
        environment["TOLLGATE_PEPPER_FILE"] = nil
        #expect(
            mistakes(environment) == [
                "TOLLGATE_PEPPER_FILE is not set: the file with the installation's secret"
            ])
        environment["CREDENTIALS_DIRECTORY"] = directory.path
        #expect(try Configuration(environment: environment).store.pepper.bytes == pepper)
    }

    @Test func `a pepper that is too short, empty or unreadable is refused`() throws {
        var environment = try least()
        for content in ["", "\n", "short", String(repeating: "p", count: 31) + "\n"] {
            environment["TOLLGATE_PEPPER_FILE"] = try file("short", content)
            #expect(mistakes(environment).first?.contains("holds fewer than 32 characters") == true)
        }
        environment["TOLLGATE_PEPPER_FILE"] = directory.path
        #expect(mistakes(environment).first?.contains("cannot be read") == true)
    }

    @Test(arguments: [
        ("/run/redis.sock", RedisConfiguration.Address.unixSocket("/run/redis.sock")),
        ("localhost:6379", .tcp(host: "localhost", port: 6379)), ("/run/a:1", .unixSocket("/run/a:1")),
    ])
    func `Redis is a socket or a host with a port`(text: String, address: RedisConfiguration.Address) throws {
        var environment = try least()
        environment["TOLLGATE_REDIS"] = text
        environment["TOLLGATE_REDIS_PASSWORD"] = "secret"
        let redis = try Configuration(environment: environment).store.redisConfiguration
        #expect(redis.address == address)
        #expect(redis.password == "secret")
    }

    @Test(arguments: [
        "redis.sock", "localhost", "localhost:", "localhost:redis", "localhost:70000", ":6379", "a:b:6379",
    ])
    func `a Redis that is neither is a mistake`(text: String) throws {
        var environment = try least()
        environment["TOLLGATE_REDIS"] = text
        #expect(
            mistakes(environment) == [
                "TOLLGATE_REDIS is '\(text)', but must be the path of a socket or host:port"
            ])
    }

    @Test func `a webhook needs an address and a secret, and nothing is asked of those without one`() throws {
        var environment = try least()
        #expect(try Configuration(environment: environment).webhook == nil)
        environment["TOLLGATE_WEBHOOK_SECRET_FILE"] = try file("empty", "")
        #expect(mistakes(environment) == [])
        environment["TOLLGATE_WEBHOOK_URL"] = "https://example.com/hook"
        #expect(mistakes(environment).count == 1, "an empty secret signs nothing")
        environment["TOLLGATE_WEBHOOK_SECRET_FILE"] = nil
        #expect(mistakes(environment).count == 1)
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"
        environment["TOLLGATE_WEBHOOK_SECRET_FILE"] = try file("secret", secret)
        #expect(try Configuration(environment: environment).webhook?.url == "https://example.com/hook")
        for url in ["example.com/hook", "ftp://example.com", "https://user:pass@example.com/", "http://"] {
            environment["TOLLGATE_WEBHOOK_URL"] = url
            #expect(mistakes(environment).count == 1, "\(url)")
        }
        _ = try file("webhook-secret", secret)
        environment["TOLLGATE_WEBHOOK_SECRET_FILE"] = nil
        environment["CREDENTIALS_DIRECTORY"] = directory.path
        environment["TOLLGATE_WEBHOOK_URL"] = "http://10.0.0.1:8080/"
        #expect(mistakes(environment) == [])
    }
}
