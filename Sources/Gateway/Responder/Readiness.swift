import Ledger
import Postgres
import Redis
import Schema
import Settlement

/// Whether this process may serve billed requests, and if not, why.
package struct Readiness: Sendable {
    private let money: MoneyStores
    private let isAppendOnlyRequired: Bool

    /// Creates the checks over a process's stores.
    package init(_ services: Services) {
        money = services.money
        isAppendOnlyRequired = services.configuration.isAppendOnlyRequired
    }

    /// One thing that was checked.
    package struct Check: Sendable, Equatable {
        /// What was checked.
        package let name: String
        /// Nil when it is well, otherwise what is wrong and what to do.
        package let problem: String?
        /// What there is to say although it is well.
        package var note: String?
    }

    /// Checks Redis, PostgreSQL, the schema and the settings without which money is not safe.
    ///
    /// While reservations are made in PostgreSQL, Redis is no problem.
    package func checks() -> [Check] {
        let isOutOfUse = money.mode.side == .ledger
        let lost = redisProblem()
        return [
            Check(name: "postgresql", problem: databaseProblem()),
            Check(name: "redis", problem: isOutOfUse ? nil : lost, note: isOutOfUse ? lost : nil),
            Check(name: "quota_mode", problem: nil, note: isOutOfUse ? "database" : "redis"),
        ]
    }

    private func databaseProblem() -> String? {
        do throws(PostgresError) {
            let version = try Migrator.version(of: money.database)
            guard version == Migrator.currentVersion else {
                return
                    "the schema is at version \(version), this build needs \(Migrator.currentVersion): run 'tollgate migrate'"
            }
            guard try money.ledger.isDurable() else {
                return "synchronous_commit is off: a crash would lose charges; set it to on"
            }
            return nil
        } catch {
            return "\(error)"
        }
    }

    private func redisProblem() -> String? {
        do throws(RedisError) { return try redisSettings().problem } catch { return "\(error)" }
    }

    /// Why the Redis that answers must not be used, and what an operator should know of it; nil where all is well.
    func redisSettings() throws(RedisError) -> (problem: String?, warning: String?) {
        guard try fact("maxmemory_policy", of: "memory") == "noeviction" else {
            return (
                "maxmemory-policy is not noeviction: Redis could drop balances; set it in redis.conf", nil
            )
        }
        guard try fact("aof_enabled", of: "persistence") == "1" else {
            let text =
                "appendonly is no: after each restart of Redis every balance is rebuilt; set it to yes in redis.conf"
            return isAppendOnlyRequired ? (text, nil) : (nil, text)
        }
        return (nil, nil)
    }

    private func fact(_ name: String, of section: String) throws(RedisError) -> Substring? {
        let reply = try money.redis.command(["INFO", section]).text ?? ""
        return reply.split(whereSeparator: \.isNewline).first { $0.hasPrefix("\(name):") }?
            .dropFirst(name.utf8.count + 1)
    }
}
