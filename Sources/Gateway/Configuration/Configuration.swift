package import FastCGI
package import HTTPClient
package import Logging

/// Everything that can be set about a responder, with the unit in each name.
///
/// All of it comes from the environment.
package struct Configuration: Sendable {
    /// Where the money is kept.
    package var store: StoreConfiguration
    /// Where events are sent; nil for nowhere.
    package var webhook: WebhookConfiguration?
    /// The FastCGI socket to make, unless systemd passes one.
    package var socketPath: String?
    /// The group that may connect to it: nginx's.
    package var socketGroup: String?
    /// Where the processes behind one socket share their metrics; nil when each is on its own.
    package var runtimeDirectory: String?
    /// The responder pool.
    package var responder = ResponderLimits()
    /// The largest request body.
    package var bodyBytesMax: Int
    /// The largest plain answer of a provider.
    package var answerBytesMax: Int
    /// The largest answer that is kept for whoever asks again under an idempotency key.
    package var keptBytesMax: Int
    /// How long each stage of a provider's call may take.
    package var upstreamTimeouts: HTTPTimeouts
    /// How long a request may take in all.
    package var requestSecondsMax: Int
    /// How much is held for a request.
    package var holds: HoldPolicy
    /// How many provider models one request may try.
    package var candidatesMax: Int
    /// How long a request waits for money that only outstanding holds keep from it.
    package var settleWaitMilliseconds: Int
    /// Whether this process may have reservations made in PostgreSQL when Redis is lost, instead of refusing them.
    package var mayReserveInDatabase: Bool
    /// How long Redis must be lost for that, and well before it is used again.
    package var degradedAfterSeconds: Int
    /// After how much silence of a provider a keep-alive goes to the client.
    package var keepAliveSeconds: Int
    /// How long running requests may go on after SIGTERM.
    package var drainSeconds: Int
    /// How long this process owns its pending rows without renewing.
    package var ownerLeaseSeconds: Int
    /// After how long a change of keys, models or prices is seen whose announcement was lost.
    package var reloadSeconds: Int
    /// Connections to PostgreSQL for reading.
    package var databaseConnectionsMax: Int
    /// What is logged.
    package var logLevel: Logger.Level
    /// Whether a Redis without an append-only file is refused, and not only warned of.
    package var isAppendOnlyRequired: Bool
    /// Debug builds: where to end the process, for tests.
    package var crashAt: String?

    /// Reads the environment.
    ///
    /// - Throws: ``ConfigurationError`` with every mistake.
    package init(environment: [String: String]) throws(ConfigurationError) {
        var settings = Settings(environment: environment)
        store = StoreConfiguration(&settings)
        webhook = WebhookConfiguration(&settings)
        socketPath = settings.optionalText("TOLLGATE_SOCKET")
        socketGroup = settings.optionalText("TOLLGATE_SOCKET_GROUP")
        // The one that systemd makes, as with the pepper.
        runtimeDirectory =
            settings.optionalText("TOLLGATE_RUNTIME_DIR") ?? settings.optionalText("RUNTIME_DIRECTORY")
        responder.workersMax = settings.integer("TOLLGATE_WORKERS_MAX", default: 1_024, in: 1...20_000)
        responder.workersMin = settings.integer(
            "TOLLGATE_WORKERS_MIN", default: min(8, responder.workersMax), in: 0...responder.workersMax)
        responder.queueMax = settings.integer("TOLLGATE_QUEUE_MAX", default: 1_024, in: 0...100_000)
        // Room for all that may run and wait, and as much again that is idle: what is not accepted waits unseen in the kernel.
        responder.connectionsMax = max(8_192, 2 * (responder.workersMax + responder.queueMax))
        responder.workerIdleSeconds = settings.integer("TOLLGATE_IDLE_SECONDS", default: 30, in: 1...3_600)
        responder.writeTimeoutSeconds = settings.integer(
            "TOLLGATE_WRITE_TIMEOUT_SECONDS", default: 30, in: 1...600)
        bodyBytesMax = settings.integer(
            "TOLLGATE_BODY_BYTES_MAX", default: 20_971_520, in: 1_024...1_073_741_824)
        answerBytesMax = settings.integer(
            "TOLLGATE_ANSWER_BYTES_MAX", default: 20_971_520, in: 1_024...1_073_741_824)
        keptBytesMax = settings.integer(
            "TOLLGATE_KEPT_ANSWER_BYTES_MAX", default: 1_048_576, in: 1_024...16_777_216)
        requestSecondsMax = settings.integer("TOLLGATE_REQUEST_SECONDS_MAX", default: 600, in: 1...900)
        upstreamTimeouts = HTTPTimeouts(
            connectMilliseconds: settings.integer(
                "TOLLGATE_UPSTREAM_CONNECT_MILLISECONDS", default: 5_000, in: 1...600_000),
            firstByteMilliseconds: settings.integer(
                "TOLLGATE_UPSTREAM_FIRST_BYTE_MILLISECONDS", default: 120_000, in: 1...900_000),
            gapMilliseconds: settings.integer(
                "TOLLGATE_UPSTREAM_GAP_MILLISECONDS", default: 120_000, in: 1...900_000),
            totalMilliseconds: requestSecondsMax * 1_000)
        holds = HoldPolicy(&settings)
        candidatesMax = settings.integer("TOLLGATE_CANDIDATES_MAX", default: 3, in: 1...20)
        settleWaitMilliseconds = settings.integer(
            "TOLLGATE_SETTLE_WAIT_MILLISECONDS", default: 2_000, in: 0...60_000)
        let degraded = settings.word("TOLLGATE_DEGRADED_MODE", default: "refuse", of: ["refuse", "database"])
        mayReserveInDatabase = degraded == "database"
        degradedAfterSeconds = settings.integer("TOLLGATE_DEGRADED_AFTER_SECONDS", default: 5, in: 1...3_600)
        keepAliveSeconds = settings.integer("TOLLGATE_KEEP_ALIVE_SECONDS", default: 10, in: 1...600)
        drainSeconds = settings.integer("TOLLGATE_DRAIN_SECONDS", default: 60, in: 0...3_600)
        ownerLeaseSeconds = settings.integer("TOLLGATE_OWNER_LEASE_SECONDS", default: 60, in: 2...3_600)
        reloadSeconds = settings.integer("TOLLGATE_RELOAD_SECONDS", default: 30, in: 1...3_600)
        databaseConnectionsMax = settings.integer(
            "TOLLGATE_DATABASE_CONNECTIONS_MAX", default: 8, in: 1...1_000)
        let level = settings.word(
            "TOLLGATE_LOG_LEVEL", default: "info", of: Logger.Level.allCases.map(\.rawValue))
        logLevel = Logger.Level(rawValue: level) ?? .info
        isAppendOnlyRequired =
            settings.word("TOLLGATE_REDIS_AOF", default: "warn", of: ["warn", "require"]) == "require"
        crashAt = settings.optionalText("TOLLGATE_CRASH_AT")
        guard settings.mistakes.isEmpty else { throw ConfigurationError(mistakes: settings.mistakes) }
    }
}
