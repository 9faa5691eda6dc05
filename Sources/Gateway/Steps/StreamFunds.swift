import Core
import Dialects
import Settlement
import Threads

/// What a running stream may still deliver: the answer tokens that its hold pays for, and more of them as they flow.
///
/// The hold pays for the largest prompt that the request can have and for all tokens counted so far, so that a stream that runs out
/// of money never costs more than was held for it. Each step doubles the tokens, up to the output cap: a long answer makes few steps,
/// a short one none.
struct StreamFunds {
    /// What came of needing more.
    enum Outcome {
        case covered
        /// There is no money for more.
        case exhausted
        case failed(GatewayError)
    }

    /// How long a stream waits for stores that cannot say now.
    private static let waitMilliseconds = 3_000
    private static let pauseMilliseconds = 200

    private let settlement: SettlementEngine
    private let price: Price
    private let inputTokens: Int64
    private let tokensMax: Int64
    /// The answer tokens that the hold pays for, all answers together.
    private(set) var tokens: Int64

    /// Creates the funds of a stream that is about to begin.
    init(_ context: borrowing WorkflowContext, settlement: SettlementEngine) {
        let request = context.validation.request
        guard let price = context.routing.selected.price else {
            preconditionFailure("routing lets only priced candidates through")
        }
        self.settlement = settlement
        self.price = price
        inputTokens = context.routing.selected.inputBound(of: request)
        // Both are bounded by the settings.
        tokensMax = context.quotaCheck.outputCap * Int64(request.n)
        tokens = price.outputTokens(within: context.quotaCheck.hold.amount, inputTokens: inputTokens)
    }

    /// Holds what so many tokens cost, and some more; as little as necessary beyond the output cap, which the provider then ignores.
    mutating func cover(_ seen: Int64, _ hold: inout Hold) -> Outcome {
        let doubled = tokens.multipliedReportingOverflow(by: 2)
        let step = doubled.overflow ? .max : doubled.partialValue
        let wanted = max(seen, seen > tokensMax ? step : min(tokensMax, step))
        let amount =
            price.upperBound(inputTokens: inputTokens, outputTokens: wanted, answers: 1) ?? .holdLimit
        let deadline = Deadline.after(milliseconds: StreamFunds.waitMilliseconds)
        let pause = Signal()
        while true {
            switch settlement.extend(hold, to: amount) {
            case .extended(let raised):
                hold = raised
                tokens = price.outputTokens(within: raised.amount, inputTokens: inputTokens)
                return tokens >= seen ? .covered : .exhausted
            case .refused: return .exhausted
            case .overruled:
                return .failed(.billingDelayed("another process has ended this request"))
            case .failed:
                guard !deadline.isPast else { return .failed(.moneyUnknown) }
                _ = pause.wait(until: .after(milliseconds: StreamFunds.pauseMilliseconds))
            }
        }
    }
}
