import JSON
import Testing

@Suite struct ScannerTests {
    private static let valid = [
        "null", "true", "false", "0", "-0", "1", "-1", "10", "0.5", "-0.5e-7", "1E5", "1e+5", "12.5E-05",
        "0e0",
        "1.7976931348623157e+308", "5e-324", "1e-400", "123456789012345678901234567890", #""""#, #""a""#,
        #""\"\\\/\b\f\n\r\t""#, #""\u0000""#, #""\u20AC\u20ac""#, #""\uD83D\uDE00""#, "\"\u{7F}\"", "\"é€😀\"",
        "\"\u{FFFF}\u{10FFFF}\"", "[]", "{}", "[ ]", "{ }", "[1]", "[1,2]", "[[],{}]", #"{"a":1}"#,
        #"{"a":{"a":{"a":[]}}}"#, " \t\r\n1 \t\r\n", "\n{ \"a\" : [ 1 , 2 ] , \"b\" : null }\n", #"{"":0}"#,
        #"{"a":1,"A":2,"á":3}"#, #"[{"a":1},{"a":1}]"#,
    ]

    @Test(arguments: valid) func `valid JSON is accepted and its root covers it without the white space`(
        _ text: String
    ) throws {
        let document = try JSONDocument(Array(text.utf8))
        let trimmed = text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed()
        #expect(document.literal(document.root) == String(trimmed))
    }

    private static let invalid: [(String, JSONError)] = [
        ("", JSONError(.empty, at: 0)),
        (" \n ", JSONError(.empty, at: 0)),
        ("\u{FEFF}{}", JSONError(.byteOrderMark, at: 0)),
        ("{}x", JSONError(.trailingBytes, at: 2)),
        ("{} {}", JSONError(.trailingBytes, at: 3)),
        ("1 2", JSONError(.trailingBytes, at: 2)),
        ("[]\0", JSONError(.trailingBytes, at: 2)),
        ("[1] // note", JSONError(.trailingBytes, at: 4)),
        ("{'a':1}", JSONError(.unexpectedByte, at: 1)),
        ("{a:1}", JSONError(.unexpectedByte, at: 1)),
        ("{1:1}", JSONError(.unexpectedByte, at: 1)),
        (#"{"a" 1}"#, JSONError(.unexpectedByte, at: 5)),
        (#"{"a":}"#, JSONError(.unexpectedByte, at: 5)),
        (#"{"a":1,}"#, JSONError(.unexpectedByte, at: 7)),
        (#"{,"a":1}"#, JSONError(.unexpectedByte, at: 1)),
        (#"{"a":1 "b":2}"#, JSONError(.unexpectedByte, at: 7)),
        (#"{"a":1]"#, JSONError(.unexpectedByte, at: 6)),
        ("[1,]", JSONError(.unexpectedByte, at: 3)),
        ("[,1]", JSONError(.unexpectedByte, at: 1)),
        ("[1 2]", JSONError(.unexpectedByte, at: 3)),
        ("[1}", JSONError(.unexpectedByte, at: 2)),
        ("]", JSONError(.unexpectedByte, at: 0)),
        ("NaN", JSONError(.unexpectedByte, at: 0)),
        ("Infinity", JSONError(.unexpectedByte, at: 0)),
        ("-Infinity", JSONError(.invalidNumber, at: 0)),
        ("nul", JSONError(.unexpectedEnd, at: 3)),
        ("nulL", JSONError(.unexpectedByte, at: 3)),
        ("True", JSONError(.unexpectedByte, at: 0)),
        ("truee", JSONError(.trailingBytes, at: 4)),
        ("+1", JSONError(.unexpectedByte, at: 0)),
        (".5", JSONError(.unexpectedByte, at: 0)),
        ("01", JSONError(.invalidNumber, at: 0)),
        ("-01", JSONError(.invalidNumber, at: 0)),
        ("[-]", JSONError(.invalidNumber, at: 1)),
        ("-", JSONError(.unexpectedEnd, at: 1)),
        ("1.", JSONError(.unexpectedEnd, at: 2)),
        ("[1.]", JSONError(.invalidNumber, at: 1)),
        ("[1e]", JSONError(.invalidNumber, at: 1)),
        ("1e+", JSONError(.unexpectedEnd, at: 3)),
        ("0x10", JSONError(.trailingBytes, at: 1)),
        ("1e400", JSONError(.numberOutOfRange, at: 0)),
        ("[-1e309]", JSONError(.numberOutOfRange, at: 1)),
        ("1e99999999999999999999", JSONError(.numberOutOfRange, at: 0)),
        ("[", JSONError(.unexpectedEnd, at: 1)),
        ("{", JSONError(.unexpectedEnd, at: 1)),
        (#"{"a"#, JSONError(.unexpectedEnd, at: 3)),
        (#"{"a""#, JSONError(.unexpectedEnd, at: 4)),
        (#"{"a":"#, JSONError(.unexpectedEnd, at: 5)),
        (#"{"a":1"#, JSONError(.unexpectedEnd, at: 6)),
        (#"{"a":1,"#, JSONError(.unexpectedEnd, at: 7)),
        (#""abc"#, JSONError(.unexpectedEnd, at: 4)),
        (#""abc\"#, JSONError(.unexpectedEnd, at: 5)),
        (#""abc\u00"#, JSONError(.unexpectedEnd, at: 8)),
        ("\"a\nb\"", JSONError(.controlCharacter, at: 2)),
        ("\"a\0b\"", JSONError(.controlCharacter, at: 2)),
        ("\"abcdefgh\u{1F}ijklmnop\"", JSONError(.controlCharacter, at: 9)),
        (#""\x41""#, JSONError(.invalidEscape, at: 1)),
        (#""\'""#, JSONError(.invalidEscape, at: 1)),
        (#""\U0041""#, JSONError(.invalidEscape, at: 1)),
        (#""\u00g0""#, JSONError(.invalidEscape, at: 1)),
        (#""\u+123""#, JSONError(.invalidEscape, at: 1)),
        (#""\uD83D""#, JSONError(.loneSurrogate, at: 1)),
        (#""\uDE00""#, JSONError(.loneSurrogate, at: 1)),
        (#""\uD83Dabcdef""#, JSONError(.loneSurrogate, at: 1)),
        (#""\uD83D\n12345""#, JSONError(.loneSurrogate, at: 1)),
        (#""\uD83D\uD83D""#, JSONError(.loneSurrogate, at: 1)),
        (#""\uDE00\uD83D""#, JSONError(.loneSurrogate, at: 1)),
        ("\u{A0}1", JSONError(.unexpectedByte, at: 0)),
    ]

    @Test(arguments: invalid) func `invalid JSON is refused with the reason and the place`(
        _ text: String, _ expected: JSONError
    ) {
        #expect(throws: expected) { try JSONDocument(Array(text.utf8)) }
    }

    private static let invalidText: [[UInt8]] = [
        [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xC3, 0x28], [0xE0, 0x9F, 0xBF], [0xE2, 0x82],
        [0xE2, 0x28, 0xA1], [0xE2, 0x82, 0x28], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF],
        [0xF0, 0x8F, 0xBF, 0xBF],
        [0xF0, 0x90, 0x28, 0xBC], [0xF0, 0x90, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80],
        [0xFF],
        [0xFE], [0xF8, 0x88, 0x80, 0x80, 0x80],
    ]

    @Test(arguments: invalidText, [0, 1, 7, 8, 9, 15])
    func `text that is not UTF-8 is refused wherever it stands`(
        _ text: [UInt8], _ before: Int
    ) {
        let padding = [UInt8](repeating: UInt8(ascii: "x"), count: before)
        let bytes = [UInt8(ascii: "\"")] + padding + text + Array("yyyyyyyyyy\"".utf8)
        #expect(throws: JSONError(.invalidUTF8, at: before + 1)) { try JSONDocument(bytes) }
    }

    @Test func `every scalar of Unicode is accepted and read back`() throws {
        var scalars = String.UnicodeScalarView()
        for value in stride(from: UInt32(0x20), through: 0x10FFFF, by: 7) {
            guard let scalar = Unicode.Scalar(value), scalar != "\"", scalar != "\\" else { continue }
            scalars.append(scalar)
        }
        let text = String(scalars)
        let document = try JSONDocument(Array("\"\(text)\"".utf8))
        #expect(try document.string(document.root) == text)
        #expect(document.textSize(of: document.root).bytes == text.utf8.count)
        #expect(document.textSize(of: document.root).characters == scalars.count)
    }

    @Test func `every cut of a valid document is refused`() {
        let bytes = Array(#"{"a":[1.5e3,"é\n\uD83D\uDE00",true,null,{"b":-7}],"c":"😀"}"#.utf8)
        #expect(throws: Never.self) { try JSONDocument(bytes) }
        for length in bytes.indices {
            #expect(throws: JSONError.self) { try JSONDocument(Array(bytes[..<length])) }
        }
    }
}
