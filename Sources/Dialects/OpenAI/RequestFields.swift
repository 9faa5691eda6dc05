import JSON

extension DialectError {
    /// A field that must be there is not.
    static func missing(_ param: String) -> DialectError {
        DialectError(
            code: "missing_required_parameter", param: param,
            message: "Missing required parameter: '\(param)'.")
    }

    /// A field has a value of the wrong type.
    static func wrongType(_ param: String, expected: String, found: JSONNode) -> DialectError {
        DialectError(
            code: "invalid_type", param: param,
            message: "Invalid type for '\(param)': expected \(expected), but got \(found.typeName) instead.")
    }

    /// A field has a value of the right type that it cannot have.
    static func invalidValue(_ param: String, _ message: String) -> DialectError {
        DialectError(code: "invalid_value", param: param, message: message)
    }
}

extension JSONNode {
    /// The type of value in words, with its article.
    var typeName: String {
        switch kind {
        case .object: "an object"
        case .array: "an array"
        case .string: "a string"
        case .number: isInteger ? "an integer" : "a decimal number"
        case .bool: "a boolean"
        case .null: "null"
        }
    }
}

extension JSONDocument {
    /// Reads `true` or `false`.
    func requestBool(_ node: JSONNode, _ param: String) throws(DialectError) -> Bool {
        // It fails for another kind only.
        guard let value = try? bool(node) else {
            throw .wrongType(param, expected: "a boolean", found: node)
        }
        return value
    }

    /// Reads a string that is not too long and has no control characters, which databases and headers would not take.
    func requestText(_ node: JSONNode, _ param: String, bytesMax: Int) throws(DialectError) -> String {
        // It fails for another kind only.
        guard let text = try? string(node) else {
            throw .wrongType(param, expected: "a string", found: node)
        }
        guard text.utf8.count <= bytesMax else {
            throw DialectError(
                code: "string_above_max_length", param: param,
                message: "Invalid '\(param)': string too long. Expected at most \(bytesMax) bytes.")
        }
        guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            throw .invalidValue(param, "Invalid '\(param)': control characters are not allowed.")
        }
        return text
    }

    /// Reads an integer within a range.
    func requestInteger(
        _ node: JSONNode, _ param: String, in range: ClosedRange<Int>
    ) throws(DialectError) -> Int {
        let value: Int
        do throws(JSONError) {
            value = Int(try int64(node))
        } catch {
            guard error.reason == .integerOutOfRange else {
                throw .wrongType(param, expected: "an integer", found: node)
            }
            value = bytes[node.range.lowerBound] == UInt8(ascii: "-") ? .min : .max
        }
        guard value >= range.lowerBound else {
            throw DialectError(
                code: "integer_below_min_value", param: param,
                message: "Invalid '\(param)': integer below minimum value. "
                    + "Expected a value >= \(range.lowerBound), but got \(literal(node)) instead.")
        }
        guard value <= range.upperBound else {
            throw DialectError(
                code: "integer_above_max_value", param: param,
                message: "Invalid '\(param)': integer above maximum value. "
                    + "Expected a value <= \(range.upperBound), but got \(literal(node)) instead.")
        }
        return value
    }

    /// Checks that a number lies within a range.
    func checkRequestNumber(
        _ node: JSONNode, _ param: String, in range: ClosedRange<Double>
    ) throws(DialectError) {
        // It fails for another kind only.
        guard let value = try? double(node) else {
            throw .wrongType(param, expected: "a number", found: node)
        }
        guard range.contains(value) else {
            let isBelow = value < range.lowerBound
            throw DialectError(
                code: isBelow ? "decimal_below_min_value" : "decimal_above_max_value", param: param,
                message: "Invalid '\(param)': expected a number between \(range.lowerBound) and "
                    + "\(range.upperBound), but got \(literal(node)) instead.")
        }
    }
}
