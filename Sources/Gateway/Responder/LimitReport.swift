import Quota

/// How a limit stands, as OpenAI's clients read it from `x-ratelimit-…` headers.
package struct LimitReport: Sendable, Hashable {
    /// What a limit counts.
    package enum Unit: Sendable {
        case requests
        case tokens
    }

    /// What it counts.
    package let unit: Unit
    /// The most there may be.
    package let limit: Int64
    /// How many more there may be now.
    package let remaining: Int64
    /// Seconds until it begins anew.
    package let resetSeconds: Int

    init(_ unit: Unit, limit: Int64, used: Int64, resetSeconds: Int) {
        self.unit = unit
        self.limit = limit
        remaining = max(0, limit - used)
        self.resetSeconds = resetSeconds
    }

    /// The limit that refused a request; nil when it is none that headers tell of.
    init?(_ refusal: QuotaRefusal, resetSeconds: Int) {
        let unit: Unit
        switch refusal.limit {
        case .dailyQuota, .monthlyQuota, .requestsPerMinute: unit = .requests
        case .tokensPerMinute: unit = .tokens
        case .balance, .budget, .concurrency: return nil
        }
        self.init(unit, limit: refusal.limitValue, used: refusal.used, resetSeconds: resetSeconds)
    }

    /// The limits that a request was admitted under: of those that count requests the one that leaves the fewest.
    ///
    /// - Parameter left: Seconds until the tenant's day and month end; asked only when it matters.
    static func reports(
        of held: HeldAmount, left: () -> (day: Int, month: Int)
    ) -> [LimitReport] {
        guard held.minute != nil || held.dailyQuota != nil || held.monthlyQuota != nil else { return [] }
        let left = left()
        let minuteLeft = Int(held.minute?.secondsLeft ?? 0)
        let ofRequests = [
            held.minute?.requestsLimit.map { limit in
                LimitReport(
                    .requests, limit: limit, used: held.minute?.requests ?? 0, resetSeconds: minuteLeft)
            },
            held.dailyQuota.map { limit in
                LimitReport(.requests, limit: limit, used: held.dailyUsed, resetSeconds: left.day)
            },
            held.monthlyQuota.map { limit in
                LimitReport(.requests, limit: limit, used: held.monthlyUsed, resetSeconds: left.month)
            },
        ]
        let ofTokens = held.minute?.tokensLimit.map { limit in
            LimitReport(.tokens, limit: limit, used: held.minute?.tokens ?? 0, resetSeconds: minuteLeft)
        }
        let tightest = ofRequests.compactMap { $0 }.min { $0.remaining < $1.remaining }
        return [tightest, ofTokens].compactMap { $0 }
    }

    /// A length of time as OpenAI writes it: `1s`, `6m0s`.
    static func duration(seconds: Int) -> String {
        let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60)
        return (hours > 0 ? "\(hours)h" : "") + (seconds >= 60 ? "\(minutes)m" : "") + "\(seconds % 60)s"
    }
}

extension AnswerHead {
    /// Adds the three headers of a limit.
    mutating func add(_ report: LimitReport) {
        let reset = LimitReport.duration(seconds: report.resetSeconds)
        switch report.unit {
        case .requests:
            add("x-ratelimit-limit-requests", String(report.limit))
            add("x-ratelimit-remaining-requests", String(report.remaining))
            add("x-ratelimit-reset-requests", reset)
        case .tokens:
            add("x-ratelimit-limit-tokens", String(report.limit))
            add("x-ratelimit-remaining-tokens", String(report.remaining))
            add("x-ratelimit-reset-tokens", reset)
        }
    }
}
