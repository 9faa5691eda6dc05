import JSON

/// A `usage` object that cannot be believed, and is not charged from.
package struct UsageError: Error, Equatable, CustomStringConvertible {
    /// What is wrong with a field.
    package enum Reason: String, Sendable {
        /// It must be there.
        case missing
        /// It is not a number, or not an object where one belongs.
        case wrongKind = "of the wrong type"
        /// It has a fraction or an exponent.
        case notAnInteger = "not an integer"
        /// It is below zero.
        case negative
        /// It is 2^53 or more.
        case tooLarge = "too large"
        /// It is a part, and larger than the whole.
        case exceedsWhole = "larger than the count that includes it"
    }

    /// What is wrong.
    package let reason: Reason
    /// The field that is wrong.
    package let field: String

    init(_ reason: Reason, field: String) {
        self.reason = reason
        self.field = field
    }

    /// The error in words.
    package var description: String { "\(field) is \(reason.rawValue)" }
}

/// Reads token counts out of a `usage` object.
struct UsageFields {
    private static let countLimit: Int64 = 1 << 53

    let document: JSONDocument
    let usage: JSONNode

    func required(_ name: StaticString) throws(UsageError) -> Int64 {
        guard let count = try optional(name) else {
            throw UsageError(.missing, field: name.description)
        }
        return count
    }

    func optional(_ name: StaticString) throws(UsageError) -> Int64? {
        try optional(name, in: usage)
    }

    func optional(_ name: StaticString, in object: JSONNode?) throws(UsageError) -> Int64? {
        guard let object else { return nil }
        guard object.kind == .object else { throw UsageError(.wrongKind, field: document.key(of: object)) }
        guard let node = document.nonNullMember(name, of: object) else { return nil }
        let count: Int64
        do throws(JSONError) {
            count = try document.int64(node)
        } catch {
            throw UsageError(UsageFields.reason(error.reason), field: name.description)
        }
        guard count >= 0 else { throw UsageError(.negative, field: name.description) }
        guard count < UsageFields.countLimit else { throw UsageError(.tooLarge, field: name.description) }
        return count
    }

    private static func reason(_ reason: JSONError.Reason) -> UsageError.Reason {
        switch reason {
        case .notAnInteger: .notAnInteger
        case .integerOutOfRange: .tooLarge
        default: .wrongKind
        }
    }
}
