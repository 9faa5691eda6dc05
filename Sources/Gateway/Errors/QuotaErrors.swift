import Core
import Dialects
import Quota

// What a client is told whom a limit refuses.

extension GatewayError {
    /// - Parameters:
    ///   - tokens: What the request was estimated to take.
    ///   - left: Seconds until the tenant's day and month end.
    init(_ refusal: QuotaRefusal, tokens: Int64, left: (day: Int, month: Int)) {
        let resetSeconds: Int? =
            switch refusal.reset {
            case .never: nil
            case .day: left.day
            case .month: left.month
            case .seconds(let seconds): Int(seconds)
            }
        // What no waiting helps against is not worth trying again.
        let isTooLarge = refusal.limit == .tokensPerMinute && tokens > refusal.limitValue
        let isRate = refusal.limit.isRate && !isTooLarge
        self.init(
            source: .client, code: refusal.limit.errorCode,
            status: refusal.limit.isMoney && resetSeconds == nil ? 402 : 429,
            client: OpenAIErrorBody(
                message: GatewayError.message(refusal, tokens: tokens),
                type: refusal.limit.clientType,
                code: refusal.limit.isRate ? "rate_limit_exceeded" : "insufficient_quota"),
            detail: "balance \(refusal.balance) used \(refusal.used) limit \(refusal.limitValue)",
            retryAfterSeconds: isTooLarge ? nil : resetSeconds ?? (isRate ? 1 : nil),
            shouldRetry: isRate ? nil : false)
        limits = LimitReport(refusal, resetSeconds: resetSeconds ?? 0).map { [$0] } ?? []
    }

    private static func message(_ refusal: QuotaRefusal, tokens: Int64) -> String {
        let limit = refusal.limitValue
        switch refusal.limit {
        case .balance:
            return
                "Your balance does not cover the most this request could cost. Add credit, or lower max_tokens."
        case .budget:
            let span =
                switch refusal.reset {
                case .day: " a day"
                case .month: " a month"
                case .never, .seconds: ""
                }
            return
                "What is left of this API key's budget of $\(Money(nanodollars: limit))\(span) does not cover the most "
                + "this request could cost."
        case .dailyQuota: return "You have used all \(limit) requests of the day."
        case .monthlyQuota: return "You have used all \(limit) requests of the month."
        case .requestsPerMinute:
            return "Rate limit reached: \(limit) requests a minute. Please try again later."
        case .tokensPerMinute where tokens > limit:
            return
                "This request may take \(tokens) tokens, and the limit is \(limit) a minute. Lower max_tokens."
        case .tokensPerMinute:
            return
                "Rate limit reached: \(limit) tokens a minute, of which \(refusal.used) are used; this request may take "
                + "\(tokens). Please try again later."
        case .concurrency: return "\(limit) requests run already, as many as may at the same time."
        }
    }
}

extension QuotaLimit {
    /// Whether it limits money.
    fileprivate var isMoney: Bool { self == .balance || self == .budget }

    /// OpenAI's type of the error: for a rate, what it counts.
    fileprivate var clientType: String {
        switch self {
        case .requestsPerMinute, .concurrency: "requests"
        case .tokensPerMinute: "tokens"
        case .balance, .budget, .dailyQuota, .monthlyQuota: "insufficient_quota"
        }
    }

    /// The machine code in logs, metrics and admin answers.
    fileprivate var errorCode: String {
        switch self {
        case .balance: "QUOTA_BALANCE_EXCEEDED"
        case .budget: "QUOTA_BUDGET_EXCEEDED"
        case .dailyQuota: "QUOTA_DAILY_EXCEEDED"
        case .monthlyQuota: "QUOTA_MONTHLY_EXCEEDED"
        case .requestsPerMinute, .tokensPerMinute, .concurrency: rawValue
        }
    }
}
