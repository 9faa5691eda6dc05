import Ledger
import Postgres
import Redis
import Schema

/// Whether this process may serve billed requests, and if not, why.
package struct Readiness: Sendable {
    private let money: MoneyStores

    /// Creates the checks over a process's stores.
    package init(money: MoneyStores) {
        self.money = money
    }

    /// One thing that was checked.
    package struct Check: Sendable, Equatable {
        /// What was checked.
        package let name: String
        /// Nil when it is well, otherwise what is wrong and what to do.
        package let problem: String?
    }

    /// Checks Redis, PostgreSQL, the schema and the settings without which money is not safe.
    package func checks() -> [Check] {
        [
            Check(name: "postgresql", problem: databaseProblem()),
            Check(name: "redis", problem: redisProblem()),
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
        do throws(RedisError) { return try evictionProblem() } catch { return "\(error)" }
    }

    /// Why the Redis that answers must not be used; nil when it may.
    func evictionProblem() throws(RedisError) -> String? {
        let reply = try money.redis.command(["INFO", "memory"]).text ?? ""
        let policy = reply.split(whereSeparator: \.isNewline).first { $0.hasPrefix("maxmemory_policy:") }
        guard let policy, policy.hasSuffix(":noeviction") else {
            return "maxmemory-policy is not noeviction: Redis could drop balances; set it in redis.conf"
        }
        return nil
    }
}
