package import Core
import Foundation
package import Postgres
package import Redis

/// Where the money is kept: what the responder, the CLI and the jobs need alike.
package struct StoreConfiguration: Sendable {
    /// PostgreSQL, as the application.
    package var database: String
    /// PostgreSQL, as the schema's owner; only migrations use it.
    package var migrateDatabase: String
    /// Redis: the path of its socket, or `host:port`.
    package var redis: String
    /// Redis' password.
    package var redisPassword: String?
    /// How long a Redis command may take.
    package var redisTimeoutMilliseconds: Int
    /// The installation's secret.
    package var pepper: Pepper
    /// Where events are sent; nil when none are made.
    package var webhookURL: String?

    /// Reads `TOLLGATE_DATABASE`, `TOLLGATE_REDIS`, `TOLLGATE_PEPPER_FILE` and their like.
    package init(_ settings: inout Settings) {
        database = settings.text("TOLLGATE_DATABASE", purpose: "the libpq connection string of the ledger")
        migrateDatabase = settings.optionalText("TOLLGATE_MIGRATE_DATABASE") ?? database
        redis = settings.text("TOLLGATE_REDIS", purpose: "the path of Redis' socket, or host:port")
        if !redis.isEmpty, StoreConfiguration.redisAddress(redis) == nil {
            settings.add(
                mistake: "TOLLGATE_REDIS is '\(redis)', but must be the path of a socket or host:port")
        }
        redisPassword = settings.optionalText("TOLLGATE_REDIS_PASSWORD")
        redisTimeoutMilliseconds = settings.integer(
            "TOLLGATE_REDIS_TIMEOUT_MILLISECONDS", default: 300, in: 10...10_000)
        pepper = StoreConfiguration.readPepper(&settings)
        webhookURL = WebhookConfiguration.readURL(&settings)
    }

    private static func readPepper(_ settings: inout Settings) -> Pepper {
        let missing = Pepper(String(repeating: "?", count: 32))
        guard let missing else { preconditionFailure("32 characters make a pepper") }
        // systemd hands secrets over as files: LoadCredential=pepper:….
        let credential = settings.optionalText("CREDENTIALS_DIRECTORY").map { $0 + "/pepper" }
        guard let path = settings.optionalText("TOLLGATE_PEPPER_FILE") ?? credential else {
            settings.add(mistake: "TOLLGATE_PEPPER_FILE is not set: the file with the installation's secret")
            return missing
        }
        guard let data = FileManager.default.contents(atPath: path) else {
            settings.add(mistake: "TOLLGATE_PEPPER_FILE: '\(path)' cannot be read")
            return missing
        }
        guard let pepper = Pepper(String(decoding: data, as: UTF8.self)) else {
            settings.add(
                mistake:
                    "TOLLGATE_PEPPER_FILE: '\(path)' holds fewer than 32 characters; make it with: openssl rand -hex 32"
            )
            return missing
        }
        return pepper
    }

    private static func redisAddress(_ text: String) -> RedisConfiguration.Address? {
        if text.hasPrefix("/") { return .unixSocket(text) }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, let port = UInt16(parts[1]) else { return nil }
        return .tcp(host: String(parts[0]), port: port)
    }

    /// A configuration of the connection pool for readers.
    package func databaseConfiguration(name: String, connectionsMax: Int) -> PostgresConfiguration {
        var configuration = PostgresConfiguration(connectionString: database, applicationName: name)
        configuration.connectionsMax = connectionsMax
        return configuration
    }

    /// A configuration of the Redis client.
    package var redisConfiguration: RedisConfiguration {
        // What is no address has been noted as a mistake.
        var configuration = RedisConfiguration(
            address: StoreConfiguration.redisAddress(redis) ?? .unixSocket(redis))
        configuration.password = redisPassword
        configuration.connectTimeoutMilliseconds = redisTimeoutMilliseconds
        configuration.commandTimeoutMilliseconds = redisTimeoutMilliseconds
        return configuration
    }
}
