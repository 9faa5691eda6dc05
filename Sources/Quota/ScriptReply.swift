import Core

/// A script's reply: a word, and fields behind it, with bars between them.
///
/// One text instead of a list, because Redis, the driver and this process would else make an object for each field.
struct ScriptReply {
    let bytes: [UInt8]

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
