import CLibPQ

/// What a statement returned: rows of columns, both counted from 0.
///
/// Reading a column as a type it does not have, or a NULL as a value, is an error of the program and stops it.
package final class Rows: @unchecked Sendable {
    // The result is never changed after it was received, so any thread may read it; freed in `deinit`.
    private let result: OpaquePointer

    /// Takes over a result, which is freed with the last reference.
    init(_ result: OpaquePointer) {
        self.result = result
    }

    deinit {
        PQclear(result)
    }

    /// How many rows there are.
    package var count: Int { Int(PQntuples(result)) }

    /// How many rows the statement inserted, updated, deleted or selected.
    package var affectedRows: Int {
        guard let text = PQcmdTuples(result) else { return 0 }
        return Int(String(cString: text)) ?? 0
    }

    /// The server's word for what it did, such as `INSERT 0 1` or `COMMIT`.
    package var commandTag: String {
        PQcmdStatus(result).map { String(cString: $0) } ?? ""
    }

    /// Whether a column is NULL.
    package func isNull(_ row: Int, _ column: Int) -> Bool {
        checkBounds(row, column)
        return PQgetisnull(result, Int32(row), Int32(column)) == 1
    }

    /// An integer column.
    package func int(_ row: Int, _ column: Int) -> Int64 {
        guard let number = Self.number(value(row, column)) else { fail(row, column, "an integer") }
        return number
    }

    /// An integer column, nil when it is NULL.
    package func optionalInt(_ row: Int, _ column: Int) -> Int64? {
        isNull(row, column) ? nil : int(row, column)
    }

    /// A column of any type in its text form.
    package func text(_ row: Int, _ column: Int) -> String {
        String(decoding: value(row, column), as: UTF8.self)
    }

    /// A column of any type in its text form, nil when it is NULL.
    package func optionalText(_ row: Int, _ column: Int) -> String? {
        isNull(row, column) ? nil : text(row, column)
    }

    /// A boolean column.
    package func bool(_ row: Int, _ column: Int) -> Bool {
        let value = value(row, column)
        guard value.count == 1, value[0] == UInt8(ascii: "t") || value[0] == UInt8(ascii: "f") else {
            fail(row, column, "a boolean")
        }
        return value[0] == UInt8(ascii: "t")
    }

    /// A boolean column, nil when it is NULL.
    package func optionalBool(_ row: Int, _ column: Int) -> Bool? {
        isNull(row, column) ? nil : bool(row, column)
    }

    /// A `bytea` column.
    package func bytes(_ row: Int, _ column: Int) -> [UInt8] {
        guard let bytes = Self.bytes(hexadecimal: value(row, column)) else { fail(row, column, "a bytea") }
        return bytes
    }

    /// A `bytea` column, nil when it is NULL.
    package func optionalBytes(_ row: Int, _ column: Int) -> [UInt8]? {
        isNull(row, column) ? nil : bytes(row, column)
    }

    /// The text form of a column, without a copy: valid while these rows are, so for the body only.
    package func withText<Outcome>(
        _ row: Int, _ column: Int, _ body: (UnsafeBufferPointer<UInt8>) -> Outcome
    ) -> Outcome {
        withExtendedLifetime(self) { body(value(row, column)) }
    }

    private func value(_ row: Int, _ column: Int) -> UnsafeBufferPointer<UInt8> {
        guard !isNull(row, column), let pointer = PQgetvalue(result, Int32(row), Int32(column)) else {
            fail(row, column, "a value")
        }
        let count = Int(PQgetlength(result, Int32(row), Int32(column)))
        return UnsafeBufferPointer(
            start: UnsafeRawPointer(pointer).assumingMemoryBound(to: UInt8.self), count: count)
    }

    private func checkBounds(_ row: Int, _ column: Int) {
        precondition(row >= 0 && row < count, "row \(row) of \(count)")
        precondition(column >= 0 && column < Int(PQnfields(result)), "there is no column \(column)")
    }

    private func fail(_ row: Int, _ column: Int, _ wanted: String) -> Never {
        let name = PQfname(result, Int32(column)).map { String(cString: $0) } ?? "?"
        preconditionFailure("column \(name) in row \(row) is not \(wanted)")
    }

    private static func number(_ text: UnsafeBufferPointer<UInt8>) -> Int64? {
        let isNegative = text.first == UInt8(ascii: "-")
        guard text.count > (isNegative ? 1 : 0) else { return nil }
        var number: Int64 = 0
        for byte in text.dropFirst(isNegative ? 1 : 0) {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            let (product, tooLarge) = number.multipliedReportingOverflow(by: 10)
            let digit = Int64(byte - UInt8(ascii: "0"))
            let (sum, overflow) = product.addingReportingOverflow(isNegative ? -digit : digit)
            guard !tooLarge, !overflow else { return nil }
            number = sum
        }
        return number
    }

    private static func bytes(hexadecimal text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        guard text.count >= 2, text[0] == UInt8(ascii: "\\"), text[1] == UInt8(ascii: "x"),
            text.count.isMultiple(of: 2)
        else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 2 - 1)
        for index in stride(from: 2, to: text.count, by: 2) {
            guard let high = digit(text[index]), let low = digit(text[index + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func digit(_ character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}
