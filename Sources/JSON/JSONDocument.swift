/// Validated JSON: the original bytes and where each value lies in them.
///
/// Everything is checked once, when the document is made; walking it afterwards reads no byte that it need not. Values are
/// named by `JSONNode`s, which are plain numbers, so walking neither allocates nor counts references.
package struct JSONDocument: Sendable {
    /// The bytes as they came.
    package private(set) var bytes: [UInt8] = []
    private var tape = JSONTape()
    private let limits: JSONLimits

    /// Validates bytes, which must be exactly one JSON value with white space around it.
    package init(_ bytes: [UInt8], limits: JSONLimits = JSONLimits()) throws(JSONError) {
        self.bytes = bytes
        self.limits = limits
        try scan()
    }

    /// Creates a document without a value, to be filled by `load`.
    package init(limits: JSONLimits = JSONLimits()) {
        self.limits = limits
    }

    /// Validates other bytes in the memory of this document; the nodes of the former value are void from then on.
    ///
    /// After an error the document has no value.
    package mutating func load(_ source: UnsafeRawBufferPointer) throws(JSONError) {
        bytes.removeAll(keepingCapacity: true)
        tape.removeAll()
        guard source.count <= limits.bytesMax else { throw JSONError(.tooLong, at: limits.bytesMax) }
        bytes.append(contentsOf: source)
        try scan()
    }

    private mutating func scan() throws(JSONError) {
        // The scanner takes the tape over, so that its arrays have one owner and are never copied.
        var taken = JSONTape()
        swap(&taken, &tape)
        defer { tape = taken }
        try bytes.withUnsafeBufferPointer { (source) throws(JSONError) in
            guard let base = source.baseAddress else { throw JSONError(.empty, at: 0) }
            var scanner = JSONScanner(source, base: base, limits: limits, tape: taken)
            taken = JSONTape()
            defer { taken = scanner.tape }
            try scanner.scan()
        }
    }

    /// The outermost value.
    package var root: JSONNode {
        precondition(!tape.nodes.isEmpty, "the document has no value")
        return tape.nodes[0]
    }

    // MARK: Walking

    /// The first member or element of an object or array; nil when there is none.
    package func firstChild(of node: JSONNode) -> JSONNode? {
        node.isChildless ? nil : tape.nodes[Int(node.index) + 1]
    }

    /// The member or element after `node` inside `parent`.
    package func child(after node: JSONNode, of parent: JSONNode) -> JSONNode? {
        node.following < parent.following ? tape.nodes[Int(node.following)] : nil
    }

    /// The members of an object or the elements of an array, in their order.
    package func children(of node: JSONNode) -> [JSONNode] {
        var result: [JSONNode] = []
        var next = firstChild(of: node)
        while let child = next {
            result.append(child)
            next = self.child(after: child, of: node)
        }
        return result
    }

    /// How many members an object or elements an array has.
    package func childCount(of node: JSONNode) -> Int {
        var count = 0
        var next = firstChild(of: node)
        while let child = next {
            count += 1
            next = self.child(after: child, of: node)
        }
        return count
    }

    /// The member of an object with this key; nil when there is none or when `node` is not an object.
    package func member(_ key: StaticString, of node: JSONNode) -> JSONNode? {
        guard node.kind == .object else { return nil }
        var next = firstChild(of: node)
        while let child = next {
            if hasKey(child, key) { return child }
            next = self.child(after: child, of: node)
        }
        return nil
    }

    /// The members of an object whose keys are among these; faster than to ask for one after another.
    package func members(of node: JSONNode, named keys: [StaticString]) -> [JSONNode] {
        guard node.kind == .object else { return [] }
        var result: [JSONNode] = []
        var next = firstChild(of: node)
        while let child = next {
            if keys.contains(where: { hasKey(child, $0) }) { result.append(child) }
            next = self.child(after: child, of: node)
        }
        return result
    }

    /// The member of an object with this key, unless it is null.
    package func nonNullMember(_ key: StaticString, of node: JSONNode) -> JSONNode? {
        guard let found = member(key, of: node), found.kind != .null else { return nil }
        return found
    }

    /// Whether a member has this key, escapes resolved.
    package func hasKey(_ node: JSONNode, _ key: StaticString) -> Bool {
        let isEscaped = node.flags & JSONNode.keyIsEscaped != 0
        guard isEscaped || Int(node.keyLength) == key.utf8CodeUnitCount else { return false }
        let start = Int(node.keyStart)
        return isText(start..<start + Int(node.keyLength), isEscaped: isEscaped, equalTo: key)
    }

    /// The key of a member, escapes resolved; empty for a value that is not a member.
    package func key(of node: JSONNode) -> String {
        let start = Int(node.keyStart)
        let content = start..<start + Int(node.keyLength)
        return text(content, isEscaped: node.flags & JSONNode.keyIsEscaped != 0)
    }

    // MARK: Reading

    /// The text of a string, escapes resolved.
    package func string(_ node: JSONNode) throws(JSONError) -> String {
        guard node.kind == .string else { throw JSONError(.wrongKind, at: Int(node.start)) }
        return text(contents(of: node), isEscaped: node.flags & JSONNode.textIsEscaped != 0)
    }

    /// The value of an integer, exactly.
    package func int64(_ node: JSONNode) throws(JSONError) -> Int64 {
        guard node.kind == .number else { throw JSONError(.wrongKind, at: Int(node.start)) }
        guard node.isInteger else { throw JSONError(.notAnInteger, at: Int(node.start)) }
        let isNegative = bytes[Int(node.start)] == .minus
        var value: Int64 = 0
        for byte in bytes[Int(node.start) + (isNegative ? 1 : 0)..<Int(node.end)] {
            let (product, tooLarge) = value.multipliedReportingOverflow(by: 10)
            let digit = Int64(byte - .zero)
            let (sum, overflow) =
                isNegative
                ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
            guard !tooLarge && !overflow else { throw JSONError(.integerOutOfRange, at: Int(node.start)) }
            value = sum
        }
        return value
    }

    /// The value of a number, rounded as doubles are, and so never for money.
    package func double(_ node: JSONNode) throws(JSONError) -> Double {
        guard node.kind == .number, let value = Double(literal(node)) else {
            throw JSONError(.wrongKind, at: Int(node.start))
        }
        return value
    }

    /// The value of `true` or `false`.
    package func bool(_ node: JSONNode) throws(JSONError) -> Bool {
        guard node.kind == .bool else { throw JSONError(.wrongKind, at: Int(node.start)) }
        return node.flags & JSONNode.boolIsTrue != 0
    }

    /// The bytes of a value as they stand in the document, as text.
    package func literal(_ node: JSONNode) -> String {
        String(decoding: bytes[node.range], as: UTF8.self)
    }

    /// Whether the value is a string with this text, escapes resolved.
    package func isString(_ node: JSONNode, _ text: StaticString) -> Bool {
        guard node.kind == .string else { return false }
        let isEscaped = node.flags & JSONNode.textIsEscaped != 0
        return isText(contents(of: node), isEscaped: isEscaped, equalTo: text)
    }

    /// Whether the value is a string that begins with these ASCII characters, in upper or lower case, escapes resolved.
    package func hasPrefix(_ node: JSONNode, _ prefix: StaticString) -> Bool {
        guard node.kind == .string else { return false }
        let wanted = UnsafeBufferPointer(start: prefix.utf8Start, count: prefix.utf8CodeUnitCount)
        return bytes.withUnsafeBufferPointer { source in
            let slice = UnsafeBufferPointer(rebasing: source[contents(of: node)])
            let isEscaped = node.flags & JSONNode.textIsEscaped != 0
            return isEscaped
                ? JSONText.unescaped(slice).starts(with: wanted, by: JSONText.areSameLetter)
                : slice.starts(with: wanted, by: JSONText.areSameLetter)
        }
    }

    /// How long the text of a string is once its escapes are resolved; zero for any other kind.
    package func textSize(of node: JSONNode) -> JSONTextSize {
        guard node.kind == .string else { return JSONTextSize() }
        return bytes.withUnsafeBufferPointer { source in
            JSONText.size(
                of: UnsafeBufferPointer(rebasing: source[contents(of: node)]),
                isEscaped: node.flags & JSONNode.textIsEscaped != 0)
        }
    }

    private func contents(of node: JSONNode) -> Range<Int> {
        Int(node.start) + 1..<Int(node.end) - 1
    }

    private func text(_ range: Range<Int>, isEscaped: Bool) -> String {
        bytes.withUnsafeBufferPointer { source in
            let slice = UnsafeBufferPointer(rebasing: source[range])
            guard isEscaped else { return String(decoding: slice, as: UTF8.self) }
            return String(decoding: JSONText.unescaped(slice), as: UTF8.self)
        }
    }

    private func isText(_ range: Range<Int>, isEscaped: Bool, equalTo expected: StaticString) -> Bool {
        let wanted = UnsafeBufferPointer(start: expected.utf8Start, count: expected.utf8CodeUnitCount)
        guard isEscaped || range.count == wanted.count else { return false }
        return bytes.withUnsafeBufferPointer { source in
            let slice = UnsafeBufferPointer(rebasing: source[range])
            return isEscaped
                ? JSONText.unescaped(slice).elementsEqual(wanted) : JSONText.areEqual(slice, wanted)
        }
    }
}
