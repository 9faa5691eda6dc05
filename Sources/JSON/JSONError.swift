/// Why bytes are not the JSON that was asked for, and where.
package struct JSONError: Error, Equatable, CustomStringConvertible {
    /// What is wrong.
    package enum Reason: Equatable, Sendable {
        /// No value at all.
        case empty
        /// More bytes than `JSONLimits.bytesMax`.
        case tooLong
        /// A byte that cannot stand here.
        case unexpectedByte
        /// The input stops inside a value.
        case unexpectedEnd
        /// Something follows the value.
        case trailingBytes
        /// The input begins with a byte order mark.
        case byteOrderMark
        /// Text that is not UTF-8.
        case invalidUTF8
        /// A control character that should have been escaped.
        case controlCharacter
        /// A backslash sequence that JSON does not have.
        case invalidEscape
        /// Half of a surrogate pair.
        case loneSurrogate
        /// A number that breaks JSON's grammar.
        case invalidNumber
        /// A number of more than `JSONLimits.numberBytesMax` bytes.
        case numberTooLong
        /// A number beyond the range of a double.
        case numberOutOfRange
        /// More nesting than `JSONLimits.depthMax`.
        case tooDeep
        /// An object of more members than `JSONLimits.membersMax`.
        case tooManyMembers
        /// More values in all than `JSONLimits.valuesMax`.
        case tooManyValues
        /// Two members of one object have the same key.
        case duplicateKey
        /// A valid value of another kind than was asked for.
        case wrongKind
        /// A number with a fraction or an exponent where an integer was asked for.
        case notAnInteger
        /// An integer that 64 bits do not hold.
        case integerOutOfRange
    }

    /// What is wrong.
    package let reason: Reason
    /// The first offending byte, counted from 0; for a duplicate, the first byte of the later key.
    package let offset: Int

    /// Creates an error.
    package init(_ reason: Reason, at offset: Int) {
        self.reason = reason
        self.offset = offset
    }

    /// The error in words, without the offending text itself.
    package var description: String { "\(reason.text) at byte \(offset)" }
}

extension JSONError.Reason {
    fileprivate var text: String {
        switch self {
        case .empty: "nothing but white space"
        case .tooLong: "too many bytes"
        case .unexpectedByte: "unexpected character"
        case .unexpectedEnd: "unexpected end"
        case .trailingBytes: "something follows the JSON value"
        case .byteOrderMark: "a byte order mark is not allowed"
        case .invalidUTF8: "invalid UTF-8"
        case .controlCharacter: "unescaped control character in a string"
        case .invalidEscape: "invalid escape sequence in a string"
        case .loneSurrogate: "half of a surrogate pair in a string"
        case .invalidNumber: "invalid number"
        case .numberTooLong: "number with too many digits"
        case .numberOutOfRange: "number out of range"
        case .tooDeep: "too deeply nested"
        case .tooManyMembers: "too many keys in one object"
        case .tooManyValues: "too many values"
        case .duplicateKey: "duplicate key"
        case .wrongKind: "value of the wrong type"
        case .notAnInteger: "number that is not an integer"
        case .integerOutOfRange: "integer out of range"
        }
    }
}
