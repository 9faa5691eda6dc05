import Core
import Redis

/// A script's reply, read from its start: a word, and fields behind it with bars between them; a script that does several
/// things says so of each in a line.
///
/// One text instead of a list, because Redis, the driver and this process would else make an object for each field.
struct ScriptReply {
    private let bytes: [UInt8]
    private var position = 0

    /// Takes a script's reply.
    init(_ reply: RedisReply, of script: RedisScript) throws(RedisError) {
        guard case .bulk(let bytes) = reply else {
            throw .server("\(script.name) answered in another form")
        }
        self.bytes = bytes
    }

    /// Takes a script's reply that is known to be a text.
    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// Whether all of it has been read.
    var isAtEnd: Bool { position == bytes.count }

    /// What is left of the line, bars and all.
    mutating func restOfLine() -> String {
        let rest = bytes[position...].prefix { $0 != UInt8(ascii: "\n") }
        position = rest.endIndex
        return String(decoding: rest, as: UTF8.self)
    }

    /// The next field of the line; empty when it has no more.
    mutating func text() -> String {
        String(decoding: bytes[field()], as: UTF8.self)
    }

    /// The next field of the line as a number.
    mutating func int() throws(QuotaError) -> Int64 {
        let field = field()
        guard let value = number(field) else {
            throw .unexpectedReply("not a number: '\(String(decoding: bytes[field], as: UTF8.self))'")
        }
        return value
    }

    /// The next field of the line as a number; nil when it is empty.
    mutating func optionalInt() throws(QuotaError) -> Int64? {
        let field = field()
        guard !field.isEmpty else { return nil }
        position = field.lowerBound
        return try int()
    }

    /// The next field of the line as an amount.
    mutating func money() throws(QuotaError) -> Money { Money(nanodollars: try int()) }

    /// Whether the line has no more fields.
    var isAtEndOfLine: Bool { position == bytes.count || bytes[position] == UInt8(ascii: "\n") }

    /// Leaves the line, whatever is left of it, for the next one.
    mutating func endLine() {
        while position < bytes.count, bytes[position] != UInt8(ascii: "\n") { position += 1 }
        if position < bytes.count { position += 1 }
    }

    private mutating func field() -> Range<Int> {
        let start = position
        while position < bytes.count, bytes[position] != UInt8(ascii: "\n") {
            position += 1
            if bytes[position - 1] == UInt8(ascii: "|") { return start..<position - 1 }
        }
        return start..<position
    }

    private func number(_ field: Range<Int>) -> Int64? {
        let isNegative = !field.isEmpty && bytes[field.lowerBound] == UInt8(ascii: "-")
        let digits = isNegative ? field.dropFirst() : field
        // Eighteen never overflow; the largest amount has sixteen.
        guard (1...18).contains(digits.count) else { return nil }
        var value: Int64 = 0
        for byte in bytes[digits] {
            let digit = byte &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            value = value &* 10 &+ Int64(digit)
        }
        return isNegative ? -value : value
    }
}

/// What a script answers to each of several orders of one tenant.
protocol OrderReply {
    /// Reads the answer to one order.
    init(_ reply: inout ScriptReply) throws(QuotaError)

    /// Whether it answers all orders of its call.
    var answersAll: Bool { get }
}

extension OrderReply {
    /// Reads the answers to as many orders as one call had.
    static func read(
        _ reply: RedisReply, of script: RedisScript, count: Int
    ) throws(RedisError) -> [Result<Self, QuotaError>] {
        var reply = try ScriptReply(reply, of: script)
        var answers: [Result<Self, QuotaError>] = []
        answers.reserveCapacity(count)
        for _ in 0..<count {
            let answer = Result { () throws(QuotaError) in try Self(&reply) }
            if answers.isEmpty, case .success(let all) = answer, all.answersAll {
                return Array(repeating: answer, count: count)
            }
            answers.append(answer)
            reply.endLine()
        }
        return answers
    }
}

extension DeductReply: OrderReply {
    init(_ reply: inout ScriptReply) throws(QuotaError) {
        let word = reply.text()
        switch word {
        case "OK":
            self = .held(
                HeldAmount(
                    epoch: try reply.int(), rseq: try reply.int(), balanceBefore: try reply.money(),
                    balanceAfter: try reply.money(), dailyUsed: try reply.int(),
                    monthlyUsed: try reply.int(), dailyQuota: try reply.optionalInt(),
                    monthlyQuota: try reply.optionalInt(), limitsVersion: try reply.int(),
                    period: Period(day: Int32(try reply.int())), minute: try MinuteUse(&reply),
                    budget: try BudgetUse(&reply)))
        case "MISS": self = .missing
        case "STALE": self = .stale
        case "LATE": self = .late
        case "CONFLICT": self = .conflict
        case "REFUSED":
            let name = reply.text()
            guard let limit = QuotaLimit(rawValue: name) else { throw .unexpectedReply(name) }
            self = .refused(
                QuotaRefusal(
                    limit: limit, epoch: try reply.int(), creditSequence: try reply.int(),
                    limitsVersion: try reply.int(), balance: try reply.money(),
                    limitValue: try reply.int(), used: try reply.int(), reset: try QuotaReset(&reply)))
        default: throw .unexpectedReply(word)
        }
    }

    var answersAll: Bool {
        switch self {
        case .missing, .stale, .late: true
        case .held, .conflict, .refused: false
        }
    }
}

extension MinuteUse {
    /// Reads what the tenants that have it, or budgets, are told.
    fileprivate init?(_ reply: inout ScriptReply) throws(QuotaError) {
        guard !reply.isAtEndOfLine else { return nil }
        let requests = (limit: try reply.optionalInt(), used: try reply.optionalInt())
        let tokens = (limit: try reply.optionalInt(), used: try reply.optionalInt())
        let secondsLeft = try reply.int()
        guard requests.limit != nil || tokens.limit != nil else { return nil }
        self.init(
            requestsLimit: requests.limit, requests: requests.used ?? 0, tokensLimit: tokens.limit,
            tokens: tokens.used ?? 0, secondsLeft: secondsLeft)
    }
}

extension BudgetUse {
    fileprivate init?(_ reply: inout ScriptReply) throws(QuotaError) {
        guard !reply.isAtEndOfLine else { return nil }
        self.init(limit: try reply.money(), used: try reply.money())
    }
}

extension QuotaReset {
    fileprivate init(_ reply: inout ScriptReply) throws(QuotaError) {
        switch reply.text() {
        case "": self = .never
        case "day": self = .day
        case "month": self = .month
        case let text:
            guard let seconds = Int64(text) else { throw .unexpectedReply(text) }
            self = .seconds(seconds)
        }
    }
}

extension SettleReply: OrderReply {
    init(_ reply: inout ScriptReply) throws(QuotaError) {
        let word = reply.text()
        switch word {
        case "OK": self = .settled(balance: try reply.money())
        case "GONE": self = .gone(balance: try reply.money())
        case "MISS": self = .missing
        default: throw .unexpectedReply(word)
        }
    }

    var answersAll: Bool { self == .missing }
}
