import Foundation
import JSON
import TestTools
import Testing

/// Compares with another parser, on documents broken at random.
@Suite struct FoundationFuzzTests {
    private static let seeds = [
        #"{"model":"gpt-4o","messages":[{"role":"user","content":"Hi \"you\" \u20ac é 😀"}],"n":1,"x":-1.5e+3}"#,
        #"[{"a":[],"b":{},"c":null},true,false,0,-0.1,"","\uD83D\uDE00",[[[[1]]]]]"#,
        #" { "a" : [ 1 , 2.25 , 3e2 ] , "b" : "\\\/\b\f\n\r\t" } "#,
    ]
    private static let pieces: [[UInt8]] =
        [
            "{", "}", "[", "]", ":", ",", "\"", "\\", "\\u12", "\\uD83D", "e", ".", "-", "0", "1", " ", "\n",
            "null", "tru",
            "\"a\":1,", "1e400", "+", "/", "\u{0}", "\u{7F}", "é",
        ].map { Array($0.utf8) } + [
            [0xFF], [0xC3], [0xE2, 0x82], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80],
        ]

    /// Reasons for which we refuse on purpose what Foundation reads.
    ///
    /// Of duplicate keys it keeps one; it reads lone surrogates, and numbers that a double cannot hold.
    private static let stricter: Set<JSONError.Reason> = [
        .duplicateKey, .loneSurrogate, .numberOutOfRange, .numberTooLong, .byteOrderMark, .tooDeep,
    ]

    @Test func `what we accept Foundation reads alike, and what only it accepts is refused on purpose`()
        throws
    {
        var random = TestRandom(seed: 20)
        var accepted = 0
        for _ in 0..<60_000 {
            let bytes = FoundationFuzzTests.broken(using: &random)
            let theirs = FoundationFuzzTests.readByFoundation(bytes)
            do throws(JSONError) {
                let value = try JSONValue(parsing: bytes)
                accepted += 1
                #expect(theirs != nil && theirs == FoundationFuzzTests.readByFoundation(value.encoded))
            } catch {
                let isExpected =
                    FoundationFuzzTests.stricter.contains(error.reason)
                    || FoundationFuzzTests.isTrailingComma(error, in: bytes)
                #expect(theirs == nil || isExpected, "\(error): \(String(decoding: bytes, as: UTF8.self))")
            }
        }
        #expect(accepted > 1_000)
    }

    /// What Foundation understands, written down again in one form; nil when it refuses.
    private static func readByFoundation(_ bytes: [UInt8]) -> Data? {
        guard let value = try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
        else {
            return nil
        }
        return try? JSONSerialization.data(withJSONObject: value, options: [.sortedKeys, .fragmentsAllowed])
    }

    /// Foundation reads a comma before a closing bracket.
    private static func isTrailingComma(_ error: JSONError, in bytes: [UInt8]) -> Bool {
        let isClosing = error.offset < bytes.count && [0x5D, 0x7D].contains(bytes[error.offset])
        let before = bytes[..<min(error.offset, bytes.count)].last { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
        return error.reason == .unexpectedByte && isClosing && before == 0x2C
    }

    private static func broken(using random: inout TestRandom) -> [UInt8] {
        var bytes = Array((seeds.randomElement(using: &random) ?? "").utf8)
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let place = Int.random(in: 0...bytes.count, using: &random)
            let piece = pieces.randomElement(using: &random) ?? []
            switch Int.random(in: 0..<4, using: &random) {
            case 0: bytes.insert(contentsOf: piece, at: place)
            case 1:
                bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 0...4, using: &random)))
            case 2: bytes.replaceSubrange(place..<min(bytes.count, place + piece.count), with: piece)
            default:
                let from = Int.random(in: 0...bytes.count, using: &random)
                let copied = bytes[from..<min(bytes.count, from + Int.random(in: 0...12, using: &random))]
                bytes.insert(contentsOf: copied, at: place)
            }
        }
        return bytes
    }
}
