import JSON
import Testing

@Suite struct DocumentTests {
    private let document: JSONDocument
    private let text =
        #" {"a" : 1, "list":[ true,"x\ty",[ ],-7.5 ], "n\u0061me":null, "big":9223372036854775807} "#

    init() throws {
        document = try JSONDocument(Array(text.utf8))
    }

    private func literal(_ range: Range<Int>?) -> String? {
        range.map { String(decoding: Array(text.utf8)[$0], as: UTF8.self) }
    }

    @Test func `members come in order with the exact ranges of key and value`() {
        let members = document.children(of: document.root)
        #expect(members.map { document.key(of: $0) } == ["a", "list", "name", "big"])
        #expect(members.map { literal($0.keyRange) } == [#""a""#, #""list""#, #""n\u0061me""#, #""big""#])
        #expect(
            members.map { literal($0.range) } == [
                "1", #"[ true,"x\ty",[ ],-7.5 ]"#, "null", "9223372036854775807",
            ])
        #expect(members.map(\.kind) == [.number, .array, .null, .number])
        #expect(document.childCount(of: document.root) == 4)
    }

    @Test func `elements come in order and have no key`() throws {
        let list = try #require(document.member("list", of: document.root))
        let elements = document.children(of: list)
        #expect(elements.map { document.literal($0) } == ["true", #""x\ty""#, "[ ]", "-7.5"])
        #expect(elements.allSatisfy { $0.keyRange == nil })
        #expect(elements[2].isChildless && document.firstChild(of: elements[2]) == nil)
    }

    @Test func `a member is found by its key with escapes resolved`() {
        #expect(document.member("name", of: document.root)?.kind == .null)
        #expect(document.nonNullMember("name", of: document.root) == nil)
        #expect(document.member("nam", of: document.root) == nil)
        #expect(document.member("list", of: document.children(of: document.root)[1]) == nil)
    }

    @Test func `the members of some keys come in the document's order, escapes resolved`() {
        let found = document.members(of: document.root, named: ["big", "nam", "name", "b", "a"])
        #expect(found.map { document.key(of: $0) } == ["a", "name", "big"])
        #expect(document.members(of: document.root, named: []).isEmpty)
        #expect(document.members(of: document.children(of: document.root)[1], named: ["a"]).isEmpty)
    }

    @Test func `a reused document forgets its former value, also after an error`() throws {
        var reused = JSONDocument()
        try reused.load(text: #"{"a":[1,2,3]}"#)
        try reused.load(text: #"{"b":2}"#)
        #expect(reused.member("a", of: reused.root) == nil)
        #expect(reused.childCount(of: reused.root) == 1)
        #expect(throws: JSONError.self) { try reused.load(text: #"{"b":{"c":[1,"#) }
        try reused.load(text: "[7]")
        #expect(try reused.int64(reused.children(of: reused.root)[0]) == 7)
    }

    private static let integers: [(String, Result<Int64, JSONError>)] = [
        ("0", .success(0)), ("-0", .success(0)), ("42", .success(42)),
        ("9223372036854775807", .success(.max)), ("-9223372036854775808", .success(.min)),
        ("9223372036854775808", .failure(JSONError(.integerOutOfRange, at: 0))),
        ("-9223372036854775809", .failure(JSONError(.integerOutOfRange, at: 0))),
        ("99999999999999999999999", .failure(JSONError(.integerOutOfRange, at: 0))),
        ("1.0", .failure(JSONError(.notAnInteger, at: 0))),
        ("1e3", .failure(JSONError(.notAnInteger, at: 0))),
        (#""1""#, .failure(JSONError(.wrongKind, at: 0))), ("null", .failure(JSONError(.wrongKind, at: 0))),
    ]

    @Test(arguments: integers) func `integers are read exactly or refused`(
        _ text: String, _ expected: Result<Int64, JSONError>
    ) throws {
        let document = try JSONDocument(Array(text.utf8))
        let result = Result { () throws(JSONError) in try document.int64(document.root) }
        #expect(result == expected)
    }

    private static let strings: [(String, String)] = [
        (#""""#, ""), (#""abc""#, "abc"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"),
        (#""x\u0000y""#, "x\0y"), (#""\u00e9\u20AC\uD83D\uDE00!""#, "é€😀!"), (#""é\n€""#, "é\n€"),
    ]

    @Test(arguments: strings) func `strings are read with their escapes resolved`(
        _ text: String, _ expected: String
    ) throws {
        let document = try JSONDocument(Array(text.utf8))
        #expect(try document.string(document.root) == expected)
        #expect(document.textSize(of: document.root).bytes == expected.utf8.count)
        #expect(document.textSize(of: document.root).characters == expected.unicodeScalars.count)
        #expect(document.root.isEmptyString == expected.isEmpty)
    }

    @Test func `a value is not read as another kind`() throws {
        let document = try JSONDocument(Array(#"["x",1,true]"#.utf8))
        let nodes = document.children(of: document.root)
        #expect(throws: JSONError(.wrongKind, at: 5)) { try document.string(nodes[1]) }
        #expect(throws: JSONError(.wrongKind, at: 1)) { try document.bool(nodes[0]) }
        #expect(throws: JSONError(.wrongKind, at: 7)) { try document.double(nodes[2]) }
        #expect(try document.bool(nodes[2]))
        #expect(try document.double(nodes[1]) == 1)
    }

    @Test func `a prefix is recognised in any case and behind escapes`() throws {
        let document = try JSONDocument(Array(#"["HTTPS://x","https:\/\/x","http","[ttp"]"#.utf8))
        let found = document.children(of: document.root).map { document.hasPrefix($0, "https://") }
        #expect(found == [true, true, false, false])
        let bracket = document.children(of: document.root)[3]
        #expect(!document.hasPrefix(bracket, "{ttp"))
    }
}
