/// The six kinds of JSON value.
package enum JSONKind: UInt8, Sendable {
    case object
    case array
    case string
    case number
    case bool
    case null
}

/// The kind and the place of one value in a document.
///
/// Means something only together with the `JSONDocument` it came from.
package struct JSONNode: Sendable {
    /// What kind of value it is.
    package let kind: JSONKind
    let flags: UInt8
    let start: UInt32
    var end: UInt32
    let index: UInt32
    /// The index of the node that follows this one and everything inside it.
    var following: UInt32
    /// The first byte of the key, inside its quotes; 0 when the value is not a member of an object.
    let keyStart: UInt32
    let keyLength: UInt32

    static let textIsEscaped: UInt8 = 1
    static let numberIsInteger: UInt8 = 2
    static let keyIsEscaped: UInt8 = 4
    static let boolIsTrue: UInt8 = 8

    /// The bytes of the value, quotes and brackets included.
    package var range: Range<Int> { Int(start)..<Int(end) }

    /// The bytes of a member's key with its quotes; nil for the root and for elements of arrays.
    package var keyRange: Range<Int>? {
        keyStart == 0 ? nil : Int(keyStart) - 1..<Int(keyStart + keyLength) + 1
    }

    /// Whether an object or array has nothing in it; true for all other kinds too.
    package var isChildless: Bool { following == index + 1 }

    /// Whether it is a string without any text.
    package var isEmptyString: Bool { kind == .string && end - start == 2 }

    /// Whether it is a number without a fraction or an exponent.
    package var isInteger: Bool { flags & JSONNode.numberIsInteger != 0 }
}
