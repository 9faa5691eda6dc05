/// A JSON value as a Swift value, for what is translated or rebuilt and not merely passed on.
package enum JSONValue: Sendable, Hashable {
    /// The members in their order; no key occurs twice in what was parsed.
    case object([JSONMember])
    /// The elements in their order.
    case array([JSONValue])
    /// Text, escapes resolved.
    case string(String)
    /// A number, as the text it was written with, so that nothing is rounded.
    case number(String)
    /// `true` or `false`.
    case bool(Bool)
    /// `null`.
    case null

    /// Creates the number that an integer is.
    package init(_ value: Int64) {
        self = .number(String(value))
    }

    /// Parses exactly one JSON value.
    package init(parsing bytes: [UInt8], limits: JSONLimits = JSONLimits()) throws(JSONError) {
        let document = try JSONDocument(bytes, limits: limits)
        try self.init(document.root, of: document)
    }

    /// Copies a value out of a document.
    ///
    /// Recursion is bounded by the depth that the document was scanned with.
    package init(_ node: JSONNode, of document: JSONDocument) throws(JSONError) {
        switch node.kind {
        case .object:
            var members: [JSONMember] = []
            for child in document.children(of: node) {
                members.append(JSONMember(document.key(of: child), try JSONValue(child, of: document)))
            }
            self = .object(members)
        case .array:
            var elements: [JSONValue] = []
            for child in document.children(of: node) {
                elements.append(try JSONValue(child, of: document))
            }
            self = .array(elements)
        case .string: self = .string(try document.string(node))
        case .number: self = .number(document.literal(node))
        case .bool: self = .bool(try document.bool(node))
        case .null: self = .null
        }
    }

    /// The member with this key; nil when there is none or when this is not an object.
    package subscript(key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    /// The text, when this is a string.
    package var stringValue: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    /// The number, when this is an integer of 64 bits written without fraction or exponent.
    package var int64Value: Int64? {
        guard case .number(let literal) = self else { return nil }
        return Int64(literal)
    }

    /// The truth value, when this is one.
    package var boolValue: Bool? {
        guard case .bool(let flag) = self else { return nil }
        return flag
    }

    /// The elements, when this is an array.
    package var arrayValue: [JSONValue]? {
        guard case .array(let elements) = self else { return nil }
        return elements
    }

    /// The members, when this is an object.
    package var objectValue: [JSONMember]? {
        guard case .object(let members) = self else { return nil }
        return members
    }

    /// The value as JSON, without white space.
    package var encoded: [UInt8] {
        var writer = JSONWriter()
        writer.value(self)
        return writer.bytes
    }
}

/// A key and its value in a `JSONValue` object.
package struct JSONMember: Sendable, Hashable {
    /// The key, escapes resolved.
    package let key: String
    /// The value.
    package let value: JSONValue

    /// Creates a member.
    package init(_ key: String, _ value: JSONValue) {
        self.key = key
        self.value = value
    }
}
