import Core
import Redis

/// A script's reply: a word, and fields behind it, with bars between them.
///
/// One text instead of a list, because Redis, the driver and this process would else make an object for each field.
struct ScriptReply {
    let bytes: [UInt8]

    /// Takes a script's reply.
    init(_ reply: RedisReply, of script: RedisScript) throws(RedisError) {
        guard case .bulk(let bytes) = reply else {
            throw .server("\(script.name) answered in another form")
        }
        self.bytes = bytes
    }

    var word: String { text(0) }

    /// A field as text; empty when there are not so many.
    func text(_ index: Int) -> String {
        String(decoding: field(index), as: UTF8.self)
    }

    func int(_ index: Int) throws(QuotaError) -> Int64 {
        guard let value = number(field(index)) else {
            throw .unexpectedReply("field \(index): \(text(index))")
        }
        return value
    }

    func optionalInt(_ index: Int) throws(QuotaError) -> Int64? {
        field(index).isEmpty ? nil : try int(index)
    }

    func money(_ index: Int) throws(QuotaError) -> Money { Money(nanodollars: try int(index)) }

    private func field(_ index: Int) -> ArraySlice<UInt8> {
        var start = bytes.startIndex
        for _ in 0..<index {
            guard let bar = bytes[start...].firstIndex(of: UInt8(ascii: "|")) else { return [] }
            start = bar + 1
        }
        return bytes[start...].prefix { $0 != UInt8(ascii: "|") }
    }

    private func number(_ digits: ArraySlice<UInt8>) -> Int64? {
        Int64(String(decoding: digits, as: UTF8.self))
    }
}

extension DeductReply {
    init(_ reply: ScriptReply) throws(QuotaError) {
        switch reply.word {
        case "OK":
            self = .held(
                HeldAmount(
                    epoch: try reply.int(1), rseq: try reply.int(2), balanceBefore: try reply.money(3),
                    balanceAfter: try reply.money(4), dailyUsed: try reply.int(5),
                    monthlyUsed: try reply.int(6), dailyQuota: try reply.optionalInt(7),
                    monthlyQuota: try reply.optionalInt(8), limitsVersion: try reply.int(9),
                    period: Period(day: Int32(try reply.int(10)))))
        case "MISS": self = .missing
        case "LATE": self = .late
        case "CONFLICT": self = .conflict
        case "REFUSED":
            guard let limit = QuotaLimit(rawValue: reply.text(1)) else {
                throw .unexpectedReply(reply.text(1))
            }
            self = .refused(
                QuotaRefusal(
                    limit: limit, epoch: try reply.int(2), creditSequence: try reply.int(3),
                    limitsVersion: try reply.int(4), balance: try reply.money(5),
                    limitValue: try reply.int(6), used: try reply.int(7)))
        default: throw .unexpectedReply(reply.word)
        }
    }
}

extension SettleReply {
    init(_ reply: ScriptReply) throws(QuotaError) {
        switch reply.word {
        case "OK": self = .settled(balance: try reply.money(1))
        case "GONE": self = .gone(balance: try reply.money(1))
        case "MISS": self = .missing
        default: throw .unexpectedReply(reply.word)
        }
    }
}
