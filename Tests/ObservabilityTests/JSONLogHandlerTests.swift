import Foundation
import Logging
import Testing

@testable import Observability

@Suite struct JSONLogHandlerTests {
    private func line(
        _ message: String = "hello", _ metadata: Logger.Metadata? = nil, own: Logger.Metadata = [:]
    ) -> [UInt8] {
        var handler = JSONLogHandler(label: "test", logLevel: .trace)
        handler.metadata = own
        return handler.line(
            for: LogEvent(
                level: .warning, message: "\(message)", metadata: metadata, source: "source", file: "file",
                function: "function", line: 1))
    }

    private func parsed(_ line: [UInt8]) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any])
    }

    private static let nasty = [
        "", "\"", "\\", "\\\"", "a\nb\r\n\tc", "\u{0}\u{1}\u{1F}\u{7F}", "é🙂\u{2028}\u{2029}", "</script>",
        "\",\"level\":\"error", "}\n{\"level\":\"critical\"}", String(repeating: "\\\"\u{0}", count: 5_000),
        String(decoding: [0x61, 0xFF, 0xFE, 0xC3, 0x28, 0xED, 0xA0, 0x80, 0x62], as: UTF8.self),
    ]

    @Test(arguments: nasty)
    func `any text is one line of valid JSON and comes back as it was`(text: String) throws {
        let line = line(
            text, ["key": "\(text)", "convertible": .stringConvertible(Nasty(description: text))])
        #expect(line.last == UInt8(ascii: "\n"))
        #expect(line.dropLast().allSatisfy { $0 >= 0x20 }, "no control characters, no second line")
        let record = try parsed(line)
        #expect(record["message"] as? String == text)
        #expect(record["key"] as? String == text)
        #expect(record["convertible"] as? String == text)
        #expect(record["level"] as? String == "warning")
        #expect(record["logger"] as? String == "test")
    }

    @Test(arguments: nasty)
    func `any text may be a key`(text: String) throws {
        #expect(try parsed(line("hello", [text + "k": "value"]))[text + "k"] as? String == "value")
    }

    private struct Fields: LogFields {
        let text: String

        func write(to line: inout LogLine) {
            line.add("text", text)
            "plain".utf8.withContiguousStorageIfAvailable { line.add("plain", plain: $0) }
            line.add("number", Int64.min)
            line.add("yes", true)
            line.add("no", false)
            line.add("again", text)
        }
    }

    @Test(arguments: nasty)
    func `fields are keys of the line beside the logger's own, whatever their text`(text: String) throws {
        var handler = JSONLogHandler(label: "test", logLevel: .trace)
        handler.metadata = ["owner": "p1"]
        let line = handler.line(.info, "many", Fields(text: text))
        #expect(line.dropLast().allSatisfy { $0 >= 0x20 }, "no control characters, no second line")
        let record = try parsed(line)
        #expect(record["message"] as? String == "many")
        #expect(record["level"] as? String == "info")
        #expect(record["owner"] as? String == "p1")
        #expect(record["text"] as? String == text)
        #expect(record["plain"] as? String == "plain")
        #expect(record["number"] as? Int64 == .min)
        #expect(record["yes"] as? Bool == true)
        #expect(record["no"] as? Bool == false)
        #expect(record["again"] as? String == text)
        #expect(try parsed(Array(Fields(text: text).description.utf8))["again"] as? String == text)
    }

    private struct Nasty: CustomStringConvertible, Sendable {
        let description: String
    }

    @Test func `bytes that are no text are replaced`() throws {
        let text = String(decoding: [0x61, 0xFF, 0x62], as: UTF8.self)
        #expect(try parsed(line(text))["message"] as? String == "a\u{FFFD}b")
    }

    @Test func `numbers and flags stand without quotes, everything else with them`() throws {
        let text = String(
            decoding: line(
                "hello",
                [
                    "int": .stringConvertible(-7), "int64": .stringConvertible(Int64.max),
                    "yes": .stringConvertible(true), "no": .stringConvertible(false),
                    "double": .stringConvertible(Double.nan), "text": "7", "list": ["a", "b\""],
                    "object": ["a": "\u{1}"],
                ]), as: UTF8.self)
        for part in [
            "\"int\":-7", "\"int64\":9223372036854775807", "\"yes\":true", "\"no\":false",
            "\"double\":\"nan\"",
            "\"text\":\"7\"",
        ] {
            #expect(text.contains(part), "\(part) in \(text)")
        }
        let record = try parsed(Array(text.utf8))
        #expect(record["list"] is String)
        #expect(record["object"] is String)
    }

    @Test func `the time is in milliseconds of now`() throws {
        let time = try #require(try parsed(line())["ts"] as? Int64)
        #expect(abs(time - Int64(Date().timeIntervalSince1970 * 1_000)) < 60_000)
    }

    @Test func `a record's own value takes the place of the logger's, and comes once`() throws {
        let line = line("hello", ["tenant": "own"], own: ["tenant": "logger's", "owner": "p1"])
        let record = try parsed(line)
        #expect(record["tenant"] as? String == "own")
        #expect(record["owner"] as? String == "p1")
        #expect(String(decoding: line, as: UTF8.self).components(separatedBy: "\"tenant\"").count == 2)
    }

    @Test func `a logger hands its metadata to the handler`() {
        var logger = Logger(label: "test") { JSONLogHandler(label: $0, logLevel: .critical) }
        logger[metadataKey: "owner"] = "p1"
        #expect(logger[metadataKey: "owner"] == "p1")
        #expect(logger.logLevel == .critical)
    }
}
