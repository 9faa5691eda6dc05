import Postgres
import PrivateServers
import Testing

@Suite struct PostgresValueTests {
    private let database: SharedServers.Database
    private let pool: PostgresPool

    init() throws {
        database = try SharedServers.database()
        pool = PostgresPool(PostgresConfiguration(connectionString: database.connectionString))
    }

    private static let texts = [
        "", "plain", "NULL", "null", "a,b", "{}", "{\"x\"}", "quote\"", "back\\slash", "\\\"", " space ", "'",
        "zeile\nzwei\t\r", "grüße 日本語 👩‍👩‍👧 é", "$1", "\\N", "\\x41",
    ]

    @Test func `texts come back as they were sent`() throws {
        let statement = Statement(name: "text", sql: "SELECT $1::text")
        for text in Self.texts {
            #expect(try pool.query(statement, [.text(text)]).text(0, 0) == text)
        }
    }

    @Test func `text arrays keep quotes, backslashes, unicode and NULL apart`() throws {
        let statement = Statement(
            name: "unnest", sql: "SELECT a FROM unnest($1::text[]) WITH ORDINALITY AS t(a, i) ORDER BY i")
        let rows = try pool.query(statement, [.textArray(Self.texts)])
        #expect((0..<rows.count).map { rows.text($0, 0) } == Self.texts)
        let optional: [String?] = [nil, "NULL", nil, "a\"b\\c", ""]
        let optionalRows = try pool.query(statement, [.optionalTextArray(optional)])
        #expect((0..<optionalRows.count).map { optionalRows.optionalText($0, 0) } == optional)
        #expect(try pool.query(statement, [.textArray([])]).count == 0)
    }

    @Test func `integers, booleans and their arrays come back as they were sent`() throws {
        let one = Statement(name: "one", sql: "SELECT $1::bigint, $2::bool")
        let many = Statement(
            name: "many",
            sql: "SELECT * FROM unnest($1::bigint[], $2::bool[], $3::bigint[]) WITH ORDINALITY ORDER BY 4")
        let numbers: [Int64] = [0, 1, -1, 9, 10, .max, .min, 1_000_000_007]
        for number in numbers {
            let rows = try pool.query(one, [.int(number), .bool(number > 0)])
            #expect(rows.int(0, 0) == number)
            #expect(rows.bool(0, 1) == (number > 0))
        }
        let optional = numbers.map { $0 == 9 ? nil : $0 }
        let flags = numbers.map { $0 < 0 }
        let rows = try pool.query(many, [.intArray(numbers), .boolArray(flags), .optionalIntArray(optional)])
        #expect((0..<rows.count).map { rows.int($0, 0) } == numbers)
        #expect((0..<rows.count).map { rows.bool($0, 1) } == flags)
        #expect((0..<rows.count).map { rows.optionalInt($0, 2) } == optional)
    }

    @Test func `bytes of every value come back, and none at all`() throws {
        let statement = Statement(name: "bytes", sql: "SELECT $1::bytea, length($1::bytea)")
        for data in [[], Array(0...255), [0], [UInt8](repeating: 0, count: 100_000)] as [[UInt8]] {
            let rows = try pool.query(statement, [.bytes(data)])
            #expect(rows.bytes(0, 0) == data)
            #expect(rows.int(0, 1) == data.count)
        }
    }

    @Test func `NULL is told from a value for each type`() throws {
        let statement = Statement(
            name: "nulls", sql: "SELECT $1::text, $2::bigint, $3::bool, $4::bytea, NULL::uuid")
        let none = try pool.query(statement, [.null, .int(orNull: nil), .null, .null])
        #expect((0..<5).allSatisfy { none.isNull(0, $0) })
        #expect(none.optionalText(0, 0) == nil && none.optionalInt(0, 1) == nil)
        #expect(none.optionalBool(0, 2) == nil && none.optionalBytes(0, 3) == nil)
        let some = try pool.query(
            statement, [.text(orNull: "x"), .int(orNull: 7), .bool(false), .bytes([1])])
        #expect(some.optionalText(0, 0) == "x" && some.optionalInt(0, 1) == 7)
        #expect(some.optionalBool(0, 2) == false && some.optionalBytes(0, 3) == [1])
    }

    @Test func `other types travel in their text form`() throws {
        let id = "0190b6a4-7a6c-7d3e-9b0a-0123456789ab"
        let statement = Statement(name: "others", sql: "SELECT $1::uuid, $2::numeric, $3::jsonb")
        let rows = try pool.query(statement, [.text(id), .text("12.50"), .text("{\"a\": 1}")])
        #expect((0..<3).map { rows.text(0, $0) } == [id, "12.50", "{\"a\": 1}"])
    }

    @Test func `an array of UUIDs is sent as numbers`() throws {
        let statement = Statement(name: "uuids", sql: "SELECT a FROM unnest($1::uuid[]) a")
        let uuids = [
            UUIDBits(high: 0x0190_b6a4_7a6c_7d3e, low: 0x9b0a_0123_4567_89ab), UUIDBits(high: 0, low: .max),
        ]
        let rows = try pool.query(statement, [.uuidArray(uuids)])
        #expect(rows.text(0, 0) == "0190b6a4-7a6c-7d3e-9b0a-0123456789ab")
        #expect(rows.text(1, 0) == "00000000-0000-0000-ffff-ffffffffffff")
        #expect(try pool.query(statement, [.uuidArray([])]).count == 0)
    }

    @Test func `a zero byte in a text is refused before anything is sent`() throws {
        let statement = Statement(name: "text", sql: "SELECT $1::text")
        let expected = PostgresError.invalidValue("a text with a zero byte")
        #expect(throws: expected) { try pool.query(statement, [.text("a\0b")]) }
        #expect(throws: expected) { try pool.transaction([(statement, [.textArray(["a\0b"])])]) }
        #expect(try pool.query(statement, [.text("fine")]).text(0, 0) == "fine")
    }

    @Test func `large values and many rows arrive whole`() throws {
        let large = String(repeating: "0123456789abcdef", count: 1 << 19)
        let text = Statement(name: "text", sql: "SELECT $1::text")
        #expect(try pool.query(text, [.text(large)]).text(0, 0) == large)
        let series = Statement(
            name: "series", sql: "SELECT i, 'row ' || i FROM generate_series(1, $1::bigint) i")
        let rows = try pool.query(series, [.int(100_000)])
        #expect(rows.count == 100_000)
        #expect(rows.int(99_999, 0) == 100_000)
        #expect(rows.text(99_999, 1) == "row 100000")
        let sum = Statement(name: "sum", sql: "SELECT count(*), sum(a)::bigint FROM unnest($1::bigint[]) a")
        let total = try pool.query(sum, [.intArray(Array(1...200_000))])
        #expect(total.int(0, 0) == 200_000 && total.int(0, 1) == 20_000_100_000)
    }
}
