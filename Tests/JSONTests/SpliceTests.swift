import JSON
import TestTools
import Testing

@Suite struct SpliceTests {
    private func edited(_ text: String, _ change: (inout JSONSplice, JSONDocument) -> Void) throws -> String {
        let document = try JSONDocument(Array(text.utf8))
        var splice = JSONSplice(document)
        change(&splice, document)
        let result = splice.applied()
        _ = try JSONDocument(result)
        return String(decoding: result, as: UTF8.self)
    }

    @Test func `no change gives the same bytes`() throws {
        #expect(try edited(" { \"a\" : 1 } ") { _, _ in } == " { \"a\" : 1 } ")
    }

    @Test func `a value is replaced and all other bytes stay`() throws {
        let result = try edited("{ \"a\" : 1,\n\t\"b\":[1, 2] }") { splice, document in
            document.member("a", of: document.root).map { splice.replace($0, with: Array("\"x\"".utf8)) }
        }
        #expect(result == "{ \"a\" : \"x\",\n\t\"b\":[1, 2] }")
    }

    @Test func `a key is renamed`() throws {
        let result = try edited(#"{"max\u005ftokens": 5}"#) { splice, document in
            document.member("max_tokens", of: document.root).map { splice.rename($0, to: "a\"b") }
        }
        #expect(result == #"{"a\"b": 5}"#)
    }

    private static let removals: [([String], String)] = [
        (["a"], #"{ "b":2 , "c":3 }"#), (["b"], #"{ "a":1 , "c":3 }"#), (["c"], #"{ "a":1 , "b":2 }"#),
        (["a", "b"], #"{ "c":3 }"#), (["a", "c"], #"{ "b":2 }"#), (["b", "c"], #"{ "a":1 }"#),
        (["a", "b", "c"], "{  }"),
    ]

    @Test(arguments: removals) func `members are removed with their commas`(
        _ keys: [String], _ expected: String
    ) throws {
        let result = try edited(#"{ "a":1 , "b":2 , "c":3 }"#) { splice, document in
            for member in document.children(of: document.root) where keys.contains(document.key(of: member)) {
                splice.remove(member, from: document.root)
            }
        }
        #expect(result == expected)
    }

    @Test func `members are inserted at both ends`() throws {
        for (text, expected) in [
            ("{}", #"{"y":1,"x":2,"z":3,"w":4}"#),
            (#"{ "a":0 }"#, #"{"y":1,"x":2, "a":0,"z":3,"w":4 }"#),
        ] {
            let result = try edited(text) { splice, document in
                splice.insertFirst("x", Array("2".utf8), in: document.root)
                splice.insertFirst("y", Array("1".utf8), in: document.root)
                splice.insertLast("z", Array("3".utf8), in: document.root)
                splice.insertLast("w", Array("4".utf8), in: document.root)
            }
            #expect(result == expected)
        }
    }

    @Test func `an outer and an inner object are changed together`() throws {
        let result = try edited(#"{"a":{"b":{}}}"#) { splice, document in
            guard let outer = document.member("a", of: document.root),
                let inner = document.member("b", of: outer)
            else { return }
            splice.insertLast("x", Array("1".utf8), in: inner)
            splice.insertLast("y", Array("2".utf8), in: outer)
            splice.insertLast("z", Array("3".utf8), in: document.root)
        }
        #expect(result == #"{"a":{"b":{"x":1},"y":2},"z":3}"#)
    }

    @Test func `random changes give what the same changes of a list give`() throws {
        var random = TestRandom(seed: 7)
        for _ in 0..<3_000 {
            let count = Int.random(in: 0...6, using: &random)
            var expected = (0..<count).map { JSONMember("k\($0)", JSONValue(Int64($0))) }
            let spaces = ["", " ", "\n  "]
            let gap = { (random: inout TestRandom) in spaces.randomElement(using: &random) ?? "" }
            let text = expected.map { member in
                "\(gap(&random))\"\(member.key)\"\(gap(&random)):\(gap(&random))"
                    + String(decoding: member.value.encoded, as: UTF8.self) + gap(&random)
            }
            let document = try JSONDocument(Array("{\(text.joined(separator: ","))\(gap(&random))}".utf8))
            var splice = JSONSplice(document)
            var result: [JSONMember] = []
            for (member, node) in zip(expected, document.children(of: document.root)) {
                switch Int.random(in: 0..<4, using: &random) {
                case 0: splice.remove(node, from: document.root)
                case 1:
                    splice.replace(node, with: Array("[true]".utf8))
                    result.append(JSONMember(member.key, .array([.bool(true)])))
                case 2:
                    splice.rename(node, to: member.key + "é")
                    result.append(JSONMember(member.key + "é", member.value))
                default: result.append(member)
                }
            }
            for place in 0..<Int.random(in: 0...2, using: &random) {
                splice.insertFirst("first\(place)", Array("null".utf8), in: document.root)
                result.insert(JSONMember("first\(place)", .null), at: 0)
            }
            for place in 0..<Int.random(in: 0...2, using: &random) {
                splice.insertLast("last\(place)", Array("null".utf8), in: document.root)
                result.append(JSONMember("last\(place)", .null))
            }
            expected = result
            #expect(try JSONValue(parsing: splice.applied()) == .object(expected))
        }
    }
}
