import JSON
import Testing

@Suite struct DuplicateKeyTests {
    private static let duplicates: [(String, Int)] = [
        (#"{"model":"a","model":"b"}"#, 13),
        (#"{"model":"a","mod\u0065l":"b"}"#, 13),
        (#"{"mod\u0065l":"a","model":"b"}"#, 18),
        (#"{"\u006dodel":"a","mod\u0065l":"b"}"#, 18),
        (#"{"a\/b":1,"a/b":2}"#, 10),
        (#"{"😀":1,"\uD83D\uDE00":2}"#, 10),
        (#"{"":1,"":2}"#, 6),
        (#"{"a":1,"b":2,"c":3,"a":4}"#, 19),
        (#"{"a":[{"b":1,"b":2}]}"#, 13),
        (#"[0,{"x":{"y":1,"z":{"y":1},"y":2}}]"#, 27),
        (#"{"a long key that is more than eight bytes":1,"a long key that is more than eight bytes":1}"#, 46),
    ]

    @Test(arguments: duplicates) func `a key that comes twice in one object is refused however it is written`(
        _ text: String, _ offset: Int
    ) {
        #expect(throws: JSONError(.duplicateKey, at: offset)) { try JSONDocument(Array(text.utf8)) }
    }

    @Test(arguments: [2, 31, 32, 33, 34, 100, 5_000])
    func `one duplicate among many keys is found in every place`(
        _ count: Int
    ) {
        for (earlier, later) in [(0, count - 1), (count / 2, count - 1), (0, 1), (count - 2, count - 1)]
        where earlier < later {
            var keys = (0..<count).map { "\"key\($0)\"" }
            keys[later] = keys[earlier]
            let head = "{" + keys[..<later].map { $0 + ":1," }.joined()
            let bytes = Array((head + keys[later...].map { $0 + ":1" }.joined(separator: ",") + "}").utf8)
            #expect(throws: JSONError(.duplicateKey, at: head.utf8.count)) { try JSONDocument(bytes) }
        }
    }

    @Test func `ten thousand copies of one key are refused at the second`() {
        let bytes = Array(
            ("{" + Array(repeating: #""k":0"#, count: 10_000).joined(separator: ",") + "}").utf8)
        #expect(throws: JSONError(.duplicateKey, at: 7)) { try JSONDocument(bytes) }
    }

    @Test func `the first duplicate of a large object is named`() {
        let keys = (0..<40).map { "\"key\($0)\":0" } + ["\"key7\":0", "\"key7\":0", "\"key3\":0"]
        let head = "{" + keys[..<40].joined(separator: ",") + ","
        let bytes = Array((head + keys[40...].joined(separator: ",") + "}").utf8)
        #expect(throws: JSONError(.duplicateKey, at: head.utf8.count)) { try JSONDocument(bytes) }
    }

    @Test func `the same key in different objects is no duplicate`() throws {
        _ = try JSONDocument(Array(#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}],"c":{"b":1}}"#.utf8))
    }

    @Test func `keys that differ in a single byte are no duplicates`() throws {
        let keys = (0..<32).map { place in
            String((0..<32).map { $0 == place ? "y" : "x" })
        }
        let text = "{" + keys.map { "\"\($0)\":0" }.joined(separator: ",") + "}"
        _ = try JSONDocument(Array(text.utf8))
    }
}
