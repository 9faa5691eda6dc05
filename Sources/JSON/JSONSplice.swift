/// Changes to a document that leave all other bytes exactly as they came.
///
/// Changes are gathered first and applied together, in one copy. Commas are set right however many members of an object are
/// removed and inserted. A value that is replaced or removed must not be changed inside as well.
package struct JSONSplice {
    private struct Edit {
        let range: Range<Int>
        let bytes: [UInt8]
    }

    private struct ObjectChange {
        let object: JSONNode
        var removed: Set<UInt32> = []
        var first: [[UInt8]] = []
        var last: [[UInt8]] = []
    }

    private let document: JSONDocument
    private var edits: [Edit] = []
    private var changes: [ObjectChange] = []

    /// Creates a splice without changes.
    package init(_ document: JSONDocument) {
        self.document = document
    }

    /// Whether nothing was changed, so that the result would be the original.
    package var isEmpty: Bool { edits.isEmpty && changes.isEmpty }

    /// Puts other bytes in the place of some of the document's.
    package mutating func replace(_ range: Range<Int>, with bytes: [UInt8]) {
        edits.append(Edit(range: range, bytes: bytes))
    }

    /// Puts another value, given as JSON, in the place of one of the document's.
    package mutating func replace(_ node: JSONNode, with value: [UInt8]) {
        replace(node.range, with: value)
    }

    /// Gives a member of an object another key.
    package mutating func rename(_ member: JSONNode, to key: String) {
        guard let range = member.keyRange else { preconditionFailure("only members of objects have keys") }
        replace(range, with: JSONValue.string(key).encoded)
    }

    /// Removes a member from its object, with its comma.
    package mutating func remove(_ member: JSONNode, from object: JSONNode) {
        precondition(member.keyRange != nil, "only members of objects can be removed")
        change(of: object) { $0.removed.insert(member.index) }
    }

    /// Adds a member, its value given as JSON, before all others of an object.
    package mutating func insertFirst(_ key: String, _ value: [UInt8], in object: JSONNode) {
        change(of: object) { $0.first.insert(JSONSplice.member(key, value), at: 0) }
    }

    /// Adds a member, its value given as JSON, behind all others of an object.
    package mutating func insertLast(_ key: String, _ value: [UInt8], in object: JSONNode) {
        change(of: object) { $0.last.append(JSONSplice.member(key, value)) }
    }

    /// The document's bytes with all changes made.
    package func applied() -> [UInt8] {
        guard !isEmpty else { return document.bytes }
        let all = edits + changes.flatMap(edits(for:))
        // Stable, so that what is inserted at one place keeps its order.
        let sorted = all.enumerated().sorted { left, right in
            (left.element.range.lowerBound, left.element.range.upperBound, left.offset)
                < (right.element.range.lowerBound, right.element.range.upperBound, right.offset)
        }
        let source = document.bytes
        var result: [UInt8] = []
        result.reserveCapacity(source.count + all.reduce(0) { $0 + $1.bytes.count })
        var position = 0
        for (_, edit) in sorted {
            precondition(edit.range.lowerBound >= position, "changes must not overlap")
            result.append(contentsOf: source[position..<edit.range.lowerBound])
            result.append(contentsOf: edit.bytes)
            position = edit.range.upperBound
        }
        result.append(contentsOf: source[position...])
        return result
    }

    private mutating func change(of object: JSONNode, _ body: (inout ObjectChange) -> Void) {
        precondition(object.kind == .object, "members are changed in objects only")
        if let index = changes.firstIndex(where: { $0.object.index == object.index }) {
            body(&changes[index])
        } else {
            var change = ObjectChange(object: object)
            body(&change)
            changes.append(change)
        }
    }

    private static func member(_ key: String, _ value: [UInt8]) -> [UInt8] {
        JSONValue.string(key).encoded + [.colon] + value
    }

    private func edits(for change: ObjectChange) -> [Edit] {
        let members = document.children(of: change.object)
        let inside = change.object.range.lowerBound + 1
        var result: [Edit] = []
        var hasKept = false
        for (index, member) in members.enumerated() {
            guard change.removed.contains(member.index) else {
                hasKept = true
                continue
            }
            if hasKept {
                // The comma before it goes too.
                result.append(
                    Edit(range: members[index - 1].range.upperBound..<member.range.upperBound, bytes: []))
            } else {
                // The comma after it, if any, goes too.
                let end =
                    index + 1 < members.count
                    ? members[index + 1].keyRange?.lowerBound : member.range.upperBound
                result.append(
                    Edit(range: (member.keyRange?.lowerBound ?? inside)..<(end ?? inside), bytes: []))
            }
        }
        if !change.first.isEmpty {
            var bytes = Array(change.first.joined(separator: [.comma]))
            if hasKept || !change.last.isEmpty { bytes.append(.comma) }
            result.append(Edit(range: inside..<inside, bytes: bytes))
        }
        if !change.last.isEmpty {
            let place = members.last?.range.upperBound ?? inside
            let joined = Array(change.last.joined(separator: [.comma]))
            result.append(Edit(range: place..<place, bytes: hasKept ? [.comma] + joined : joined))
        }
        return result
    }
}
