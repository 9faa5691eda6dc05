import Core
import Dialects
package import JSON
import Ledger
import Postgres
import Quota
import Tenancy

/// What operators read and set over HTTP, on the loopback server only.
struct AdminEndpoints: Sendable {
    let services: Services
    private static let rowsMax = 1_000
    private static let rowsDefault = 100

    init(_ services: Services) {
        self.services = services
    }

    /// Answers `GET /admin/v1/tenants?after=NAME&limit=N`.
    func tenants(_ query: String) throws(GatewayError) -> [UInt8] {
        let parameters = try parameters(query, only: ["after", "limit"])
        let limit = try limit(parameters)
        let tenants = try reading { () throws(PostgresError) in
            try services.tenants.tenants(after: parameters["after"] ?? "", countMax: limit + 1)
        }
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("object", "list")
        writer.key("data")
        writer.beginArray()
        for (tenant, createdAt) in tenants.prefix(limit) {
            let totals = try reading { () throws(PostgresError) in
                try LedgerReader.totals(services.money.database, of: tenant.id)
            }
            writer.beginObject()
            writer.member("id", tenant.id.description)
            writer.member("status", tenant.isSuspended ? "suspended" : "active")
            writer.member("time_zone", tenant.timeZone)
            writer.member("credit_limit", tenant.limits.creditLimit.description)
            writer.member("daily_quota", tenant.limits.dailyQuota)
            writer.member("monthly_quota", tenant.limits.monthlyQuota)
            writer.member("rpm_limit", tenant.limits.requestsPerMinute)
            writer.member("tpm_limit", tenant.limits.tokensPerMinute)
            writer.member("concurrency_limit", tenant.limits.concurrency)
            writer.member("limits_version", tenant.limits.version)
            writer.member("balance", totals.balance.description)
            writer.member("held", totals.held.description)
            writer.member("charged", totals.charged.description)
            writer.member("created_at", createdAt)
            writer.endObject()
        }
        writer.endArray()
        writer.member("has_more", tenants.count > limit)
        writer.endObject()
        return writer.bytes
    }

    /// Answers `GET /admin/v1/transactions?tenant=NAME&status=STATUS&before=TRACE&limit=N`.
    func transactions(_ query: String) throws(GatewayError) -> [UInt8] {
        let parameters = try parameters(query, only: ["tenant", "status", "before", "limit"])
        let limit = try limit(parameters)
        let tenant = try parsed(parameters["tenant"], "tenant") { TenantID($0) }
        let before = try parsed(parameters["before"], "before") { TraceID($0) }
        let status = try parsed(parameters["status"], "status") { TransactionStatus(rawValue: $0) }
        let rows = try reading { () throws(PostgresError) in
            try LedgerReader.transactions(
                services.money.database, of: tenant, before: before, status: status, countMax: limit + 1)
        }
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("object", "list")
        writer.key("data")
        writer.beginArray()
        for row in rows.prefix(limit) { row.write(to: &writer) }
        writer.endArray()
        writer.member("has_more", rows.count > limit)
        writer.endObject()
        return writer.bytes
    }

    private func parameters(_ query: String, only names: Set<String>) throws(GatewayError) -> QueryParameters
    {
        guard let parameters = QueryParameters(query), parameters.contains(only: names) else {
            throw .invalidParameter(
                nil, "Allowed parameters: \(names.sorted().joined(separator: ", ")), each once.")
        }
        return parameters
    }

    private func limit(_ parameters: QueryParameters) throws(GatewayError) -> Int {
        guard let text = parameters["limit"] else { return AdminEndpoints.rowsDefault }
        guard let limit = Int(text), (1...AdminEndpoints.rowsMax).contains(limit) else {
            throw .invalidParameter(
                "limit", "limit must be a whole number from 1 to \(AdminEndpoints.rowsMax).")
        }
        return limit
    }

    private func parsed<Value>(
        _ text: String?, _ name: String, _ parse: (String) -> Value?
    ) throws(GatewayError) -> Value? {
        guard let text else { return nil }
        guard let value = parse(text) else { throw .invalidParameter(name, "\(name) is not valid.") }
        return value
    }

    func reading<Value>(_ effect: () throws(PostgresError) -> Value) throws(GatewayError) -> Value {
        do throws(PostgresError) { return try effect() } catch { throw .databaseUnavailable("\(error)") }
    }
}

extension ListedTransaction {
    /// Writes the transaction as one object; amounts are decimal strings.
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("trace_id", trace)
        writer.member("tenant", tenant)
        writer.member("api_key_id", key)
        writer.member("status", status)
        writer.member("hold", hold.description)
        writer.member("charge", charge.description)
        writer.member("cost_diff", (hold - charge).description)
        writer.member("price_version", priceVersion)
        writer.member("model", model)
        writer.member("provider", provider)
        writer.member("upstream_model", upstreamModel)
        writer.member("capability", capability)
        writer.member("is_stream", isStream)
        writer.member("stream_completed", streamCompleted)
        writer.member("interrupted_by", interruptedBy)
        writer.member("is_error", isError)
        writer.member("error_code", errorCode)
        writer.key("usage")
        writer.beginObject()
        writer.member("input_tokens", usage.input)
        writer.member("cached_input_tokens", usage.cachedInput)
        writer.member("cache_write_tokens", usage.cacheWrite)
        writer.member("cache_write_hour_tokens", usage.cacheWriteHour)
        writer.member("output_tokens", usage.output)
        writer.member("reasoning_tokens", usage.reasoning)
        writer.member("audio_input_tokens", usage.audioInput)
        writer.member("audio_output_tokens", usage.audioOutput)
        writer.endObject()
        writer.member("usage_source", usageSource)
        writer.member("balance_before", balanceBefore.description)
        writer.member("balance_after_hold", balanceAfter.description)
        writer.member("latency_ms", latencyMilliseconds)
        writer.member("created_at", createdAt)
        writer.member("settled_at", settledAt)
        writer.endObject()
    }
}
