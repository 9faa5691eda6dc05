import Core
import Foundation
import Gateway
import Glibc
import Ledger
import Postgres
import Redis
import Schema
import Threads

/// The settings, as tollgated would read them here.
enum SettingsChecks {
    static func findings(_ environment: [String: String]) -> [Finding] {
        var findings: [Finding] = []
        do throws(ConfigurationError) {
            _ = try Configuration(environment: environment)
            findings.append(.ok("settings", "readable"))
        } catch {
            findings += error.mistakes.map { .fail("settings", $0, "set it as README.md's table says") }
        }
        for (name, variable) in [
            ("pepper", "TOLLGATE_PEPPER_FILE"), ("webhook secret", "TOLLGATE_WEBHOOK_SECRET_FILE"),
        ] {
            guard let path = environment[variable], let reader = readerOfSecret(path) else { continue }
            findings.append(.warn(name, "\(path) can be read by \(reader)", "chmod 600 \(path)"))
        }
        return findings
    }

    private static func readerOfSecret(_ path: String) -> String? {
        var entry = stat()
        guard stat(path, &entry) == 0 else { return nil }
        return entry.st_mode & 0o007 == 0 ? nil : "everybody on this machine"
    }
}

/// PostgreSQL and Redis.
struct StoreChecks {
    let configuration: StoreConfiguration
    let money: MoneyStores

    private static let clockSlackMilliseconds: Int64 = 2_000

    init(_ configuration: StoreConfiguration) {
        self.configuration = configuration
        money = MoneyStores(
            configuration, owner: LocalOwner.name, programName: "tollgate-doctor", connectionsMax: 2)
    }

    func findings() -> [Finding] { databaseFindings() + redisFindings() }

    // MARK: - PostgreSQL

    private func databaseFindings() -> [Finding] {
        guard !configuration.database.isEmpty else { return [] }
        do throws(PostgresError) {
            let facts = try money.ledger.facts()
            var findings = [server(facts), durability(facts), connections(facts)]
            let version = try Migrator.version(of: money.database)
            findings.append(Self.schema(version))
            if version == Migrator.currentVersion {
                findings += [partitions(facts), try sweeping(), try outbox(), try mode()]
            }
            let apart = abs(facts.unixMilliseconds - WallClock.unixMilliseconds)
            if apart > Self.clockSlackMilliseconds {
                findings.append(
                    .warn(
                        "clock", "this machine's and PostgreSQL's differ by \(apart) ms",
                        "run a time daemon on both"))
            }
            return findings
        } catch {
            return [
                .fail("postgresql", "\(error)", "start PostgreSQL, or correct TOLLGATE_DATABASE")
            ]
        }
    }

    private func server(_ facts: DatabaseFacts) -> Finding {
        if facts.isStandby {
            return .fail(
                "postgresql", "\(facts.version), a standby: it takes no writes",
                "point TOLLGATE_DATABASE at the primary, or add target_session_attrs=read-write")
        }
        if facts.isSuperuser {
            return .warn(
                "postgresql", "\(facts.version), and we are a superuser, whom no rule of the ledger binds",
                "use the application's role in TOLLGATE_DATABASE")
        }
        return .ok("postgresql", facts.version)
    }

    private func durability(_ facts: DatabaseFacts) -> Finding {
        if facts.synchronousCommit == "off" {
            return .fail(
                "durability", "synchronous_commit is off: a crash would lose charges",
                "set it to on, in postgresql.conf and for the role")
        }
        if !facts.isForcedToDisk {
            return .fail(
                "durability",
                "fsync or full_page_writes is off: a crash of the machine would destroy the ledger",
                "set both to on in postgresql.conf")
        }
        return .ok("durability", "synchronous_commit \(facts.synchronousCommit), fsync on")
    }

    private func connections(_ facts: DatabaseFacts) -> Finding {
        let text = "\(facts.connections) of \(facts.connectionsMax) connections in use"
        guard facts.connections * 10 <= facts.connectionsMax * 9 else {
            return .warn(
                "connections", text, "raise max_connections, or lower TOLLGATE_DATABASE_CONNECTIONS_MAX")
        }
        return .ok("connections", text)
    }

    private static func schema(_ version: Int) -> Finding {
        guard version == Migrator.currentVersion else {
            return .fail(
                "schema", "at version \(version), this program needs \(Migrator.currentVersion)",
                version < Migrator.currentVersion ? "tollgate migrate" : "install the newer programs")
        }
        return .ok("schema", "at version \(version)")
    }

    private func partitions(_ facts: DatabaseFacts) -> Finding {
        facts.hasNextPartition
            ? .ok("partitions", "made ahead")
            : .warn("partitions", "next month's rows have no place yet", "tollgate job prune")
    }

    /// The sweeper looks at everything younger than a day, and notes that it did.
    private func sweeping() throws(PostgresError) -> Finding {
        guard let mark = try money.ledger.watermark(of: "sweep") else {
            return .warn("sweep", "has never run", "systemctl enable --now tollgate-sweep.timer")
        }
        let behindMinutes = (WallClock.unixMilliseconds - mark.unixMilliseconds) / 60_000 - 1_440
        guard behindMinutes < 10 else {
            return .warn(
                "sweep",
                "ran \(behindMinutes) minutes ago, or leaves a row behind that is as much over a day old",
                "look at 'systemctl status tollgate-sweep.timer' and 'tollgate holds list'")
        }
        return .ok("sweep", "runs")
    }

    private func mode() throws(PostgresError) -> Finding {
        let mode = try money.ledger.mode()
        guard mode.isDatabase else { return .ok("mode", "reservations are made in Redis") }
        return .warn(
            "mode", "reservations are made in PostgreSQL since \(mode.seconds) s, begun by \(mode.owner)",
            "start Redis, or make it writable: it is used again soon after")
    }

    /// What was given up stays until somebody looks at it.
    private func outbox() throws(PostgresError) -> Finding {
        let figures = try money.outbox.figures()
        if figures.dead > 0 {
            return .warn(
                "outbox", "\(figures.dead) after-commit tasks were given up",
                "look at last_error in the table outbox, mend it, and run 'tollgate job outbox --retry-dead'")
        }
        if figures.oldestSeconds > 600 {
            return .warn(
                "outbox", "\(figures.open) after-commit tasks wait, one for \(figures.oldestSeconds) s",
                "systemctl enable --now tollgate-outbox.timer, or run 'tollgate job outbox' and see why")
        }
        return .ok("outbox", "\(figures.open) after-commit tasks wait")
    }

    // MARK: - Redis

    private func redisFindings() -> [Finding] {
        guard !configuration.redis.isEmpty else { return [] }
        do throws(RedisError) {
            let text = try money.redis.command(["INFO"]).text ?? ""
            let lines = text.split(whereSeparator: \.isNewline).compactMap { line -> (String, String)? in
                let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                return parts.count == 2 ? (String(parts[0]), String(parts[1])) : nil
            }
            return Self.redisFindings(Dictionary(lines, uniquingKeysWith: { first, _ in first }))
        } catch {
            return [.fail("redis", "\(error)", "start Redis, or correct TOLLGATE_REDIS")]
        }
    }

    private static func redisFindings(_ info: [String: String]) -> [Finding] {
        let version = info["redis_version"] ?? "unknown version"
        var findings: [Finding] = []
        if let role = info["role"], role != "master" {
            findings.append(
                .fail(
                    "redis", "\(version), a replica: it takes no writes",
                    "point TOLLGATE_REDIS at the primary"))
        } else if (Int(version.prefix { $0 != "." }) ?? 0) < 6 {
            findings.append(.warn("redis", "\(version) is older than any we test", "install Redis 7"))
        } else {
            findings.append(.ok("redis", "\(version), primary"))
        }
        let policy = info["maxmemory_policy"] ?? "unknown"
        findings.append(
            policy == "noeviction"
                ? .ok("eviction", "maxmemory-policy noeviction")
                : .fail(
                    "eviction", "maxmemory-policy is \(policy): Redis could drop balances",
                    "set it to noeviction in redis.conf"))
        let most = Int64(info["maxmemory"] ?? "") ?? 0
        let used = Int64(info["used_memory"] ?? "") ?? 0
        if most > 0, used > most / 10 * 9 {
            findings.append(
                .warn(
                    "memory", "Redis uses \(used) of \(most) bytes: soon it refuses holds", "raise maxmemory")
            )
        }
        let isAppending = info["aof_enabled"] == "1"
        findings.append(
            isAppending && info["aof_last_write_status"] != "err"
                ? .ok("aof", "appendonly yes")
                : .warn(
                    "aof",
                    isAppending
                        ? "the append-only file cannot be written"
                        : "appendonly is no: after each restart of Redis every balance is rebuilt",
                    isAppending ? "look at Redis' log and disk" : "set it to yes in redis.conf"))
        return findings
    }
}
