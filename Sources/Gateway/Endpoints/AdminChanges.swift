import Core
import FastCGI
import JSON
import Logging
import Postgres
import Settlement
import Tenancy

// Limits that operators set: the ledger first, and then the images in Redis follow.

extension AdminEndpoints {
    /// Answers `PATCH /admin/v1/tenants/NAME`: what is named is changed, null takes a limit away.
    func setTenant(_ id: TenantID, by exchange: Exchange) throws(GatewayError) -> [UInt8] {
        let members = try ChangeMembers(exchange, bodyBytesMax: services.configuration.bodyBytesMax)
        try members.allow([
            "time_zone", "credit_limit", "daily_quota", "monthly_quota", "rpm_limit", "tpm_limit",
            "concurrency_limit",
        ])
        var change = TenantChange()
        change.timeZone = try members.text("time_zone")
        if let zone = change.timeZone, !TimeZones.isKnown(zone) { throw members.invalid("time_zone") }
        change.creditLimit = try members.money("credit_limit")
        if let limit = change.creditLimit, limit > .holdLimit { throw members.invalid("credit_limit") }
        change.dailyQuota = try members.limit("daily_quota") { LimitChange.quota($0) }
        change.monthlyQuota = try members.limit("monthly_quota") { LimitChange.quota($0) }
        change.requestsPerMinute = try members.limit("rpm_limit") { LimitChange.rate($0) }
        change.tokensPerMinute = try members.limit("tpm_limit") { LimitChange.rate($0) }
        change.concurrency = try members.limit("concurrency_limit") { LimitChange.rate($0) }
        let version = try reading { () throws(PostgresError) in try services.tenants.set(id, change) }
        guard let version else { throw .nothingOfThatName("tenant \(id)") }
        applyLimits(of: id)
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("id", id.description)
        writer.member("limits_version", version)
        writer.endObject()
        return writer.bytes
    }

    /// Answers `PATCH /admin/v1/keys/ID`: what is named is changed, null takes the budget away.
    func setKey(_ id: APIKeyID, by exchange: Exchange) throws(GatewayError) -> [UInt8] {
        let members = try ChangeMembers(exchange, bodyBytesMax: services.configuration.bodyBytesMax)
        try members.allow(["budget_limit", "budget_period"])
        let limit: LimitChange? =
            members.isNull("budget_limit")
            ? LimitChange.none : try members.money("budget_limit").map { LimitChange.budget($0) }
        let period = try members.text("budget_period").map { BudgetPeriod(rawValue: $0) }
        if let period, period == nil { throw members.invalid("budget_period") }
        let changed = try reading { () throws(PostgresError) in
            try services.tenants.setBudget(ofKey: id.description, limit: limit, period: period ?? nil)
        }
        guard let (tenant, budget) = changed else { throw .nothingOfThatName("key \(id)") }
        applyLimits(of: tenant)
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("id", id.description)
        writer.member("tenant", tenant.description)
        writer.member("budget_limit", budget.limit?.description)
        writer.member("budget_period", budget.period.rawValue)
        writer.endObject()
        return writer.bytes
    }

    /// Lets new limits take effect at once.
    private func applyLimits(of tenant: TenantID) {
        // The change is made: every gateway is told of it and finds the image stale, also when Redis does not answer now.
        do throws(SettlementError) { try services.settlement.applyLimits(of: tenant) } catch {
            services.logger.warning(
                "limits not applied yet", metadata: ["tenant": "\(tenant)", "error": "\(error)"])
        }
    }
}

/// The members of a body that says what is to be changed.
private struct ChangeMembers {
    private let members: [String: JSONValue]

    init(_ exchange: Exchange, bodyBytesMax: Int) throws(GatewayError) {
        let body: [UInt8]
        do throws(ExchangeError) { body = try exchange.readBody(bytesMax: bodyBytesMax) } catch {
            throw GatewayError(error, bodyBytesMax: bodyBytesMax)
        }
        // Whatever is wrong with it, the answer is the same.
        guard let members = try? JSONValue(parsing: body).objectValue else {
            throw .invalidParameter(nil, "Send one JSON object.")
        }
        self.members = Dictionary(
            members.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
    }

    /// Refuses members of other names, and none at all.
    func allow(_ names: [String]) throws(GatewayError) {
        guard !members.isEmpty, members.keys.allSatisfy({ names.contains($0) }) else {
            throw .invalidParameter(nil, "Allowed members: \(names.joined(separator: ", ")), at least one.")
        }
    }

    func invalid(_ name: String) -> GatewayError {
        .invalidParameter(name, "\(name) is not valid.")
    }

    func isNull(_ name: String) -> Bool { members[name] == .null }

    func text(_ name: String) throws(GatewayError) -> String? {
        guard let value = members[name] else { return nil }
        guard let text = value.stringValue else { throw invalid(name) }
        return text
    }

    func money(_ name: String) throws(GatewayError) -> Money? {
        guard let text = try text(name) else { return nil }
        guard let money = Money(decimal: text) else { throw invalid(name) }
        return money
    }

    func limit(_ name: String, _ change: (Int64) -> LimitChange?) throws(GatewayError) -> LimitChange? {
        guard let value = members[name] else { return nil }
        if value == .null { return LimitChange.none }
        guard let change = value.int64Value.flatMap(change) else { throw invalid(name) }
        return change
    }
}
