import JSON
import Testing

@Suite struct LimitTests {
    @Test(arguments: ["[", "{\"a\":", "[{\"a\":"]) func `endless nesting is refused without using the stack`(
        _ opening: String
    ) {
        let bytes = Array(String(repeating: opening, count: 10_000).utf8)
        #expect { try JSONDocument(bytes) } throws: { ($0 as? JSONError)?.reason == .tooDeep }
    }

    @Test func `nesting up to the limit is accepted, one more is not`() throws {
        let limits = JSONLimits(depthMax: 3)
        _ = try JSONDocument(Array("[[[]]]".utf8), limits: limits)
        #expect(throws: JSONError(.tooDeep, at: 3)) {
            try JSONDocument(Array("[[[[]]]]".utf8), limits: limits)
        }
    }

    @Test func `a limit of a million levels does not break the stack`() throws {
        let text = String(repeating: "[", count: 1_000_000) + String(repeating: "]", count: 1_000_000)
        _ = try JSONDocument(Array(text.utf8), limits: JSONLimits(depthMax: 1_000_000))
    }

    @Test func `a number of ten thousand digits is refused`() {
        let bytes = Array(("[" + String(repeating: "1", count: 10_000) + "]").utf8)
        #expect(throws: JSONError(.numberTooLong, at: 1)) { try JSONDocument(bytes) }
    }

    @Test func `a number beyond a double is refused even where long numbers are allowed`() {
        let bytes = Array(String(repeating: "9", count: 400).utf8)
        #expect(throws: JSONError(.numberOutOfRange, at: 0)) {
            try JSONDocument(bytes, limits: JSONLimits(numberBytesMax: 1_000))
        }
    }

    @Test func `a million keys are refused`() {
        let bytes = LimitTests.object(keys: 1_000_000)
        #expect { try JSONDocument(bytes) } throws: { ($0 as? JSONError)?.reason == .tooManyMembers }
    }

    @Test func `members are counted for each object alone`() throws {
        let limits = JSONLimits(membersMax: 2)
        _ = try JSONDocument(Array(#"[{"a":1,"b":2},{"a":{"c":1,"d":2},"b":2}]"#.utf8), limits: limits)
        #expect(throws: JSONError(.tooManyMembers, at: 13)) {
            try JSONDocument(Array(#"{"a":1,"b":2,"c":3}"#.utf8), limits: limits)
        }
    }

    @Test func `values are counted over the whole document`() throws {
        let limits = JSONLimits(valuesMax: 4)
        _ = try JSONDocument(Array("[1,[2]]".utf8), limits: limits)
        #expect(throws: JSONError(.tooManyValues, at: 6)) {
            try JSONDocument(Array("[1,[2,3]]".utf8), limits: limits)
        }
    }

    @Test func `more bytes than allowed are refused unread`() {
        #expect(throws: JSONError(.tooLong, at: 4)) {
            try JSONDocument(Array("[1,2]".utf8), limits: JSONLimits(bytesMax: 4))
        }
        var document = JSONDocument(limits: JSONLimits(bytesMax: 4))
        #expect(throws: JSONError(.tooLong, at: 4)) { try document.load(text: "[1,2]") }
    }

    @Test func `a hundred thousand keys take no more than linear time`() throws {
        let limits = JSONLimits(membersMax: 100_000)
        let clock = ContinuousClock()
        var times: [Int: Duration] = [:]
        for count in [10_000, 100_000] {
            let bytes = LimitTests.object(keys: count)
            times[count] = try clock.measure { _ = try JSONDocument(bytes, limits: limits) }
        }
        let (small, large) = (try #require(times[10_000]), try #require(times[100_000]))
        // Quadratic would be a hundredfold; the floor keeps a busy machine from failing this.
        #expect(large < max(small * 60, .seconds(3)))
    }

    static func object(keys count: Int) -> [UInt8] {
        Array(("{" + (0..<count).map { "\"k\($0)\":0" }.joined(separator: ",") + "}").utf8)
    }
}

extension JSONDocument {
    /// Loads text; what a reused document is fed with otherwise lies in a parser's buffer.
    mutating func load(text: String) throws(JSONError) {
        let bytes = Array(text.utf8)
        try bytes.withUnsafeBufferPointer { (buffer) throws(JSONError) in
            try load(UnsafeRawBufferPointer(buffer))
        }
    }
}
