import Postgres
import Quota

/// Why a job could not do its work.
package enum JobError: Error, Equatable, CustomStringConvertible {
    case database(String)
    case redis(String)
    /// Another process runs the same job.
    case alreadyRunning

    package var description: String {
        switch self {
        case .database(let reason): "PostgreSQL: \(reason)"
        case .redis(let reason): "Redis: \(reason)"
        case .alreadyRunning: "another process runs this job"
        }
    }

    /// Does something with PostgreSQL.
    static func database<Value>(_ effect: () throws(PostgresError) -> Value) throws(JobError) -> Value {
        do throws(PostgresError) { return try effect() } catch { throw .database("\(error)") }
    }

    /// Does something with Redis.
    static func redis<Value>(_ effect: () throws(QuotaError) -> Value) throws(JobError) -> Value {
        do throws(QuotaError) { return try effect() } catch { throw .redis("\(error)") }
    }
}
