import JSON
import Testing

@Suite struct ValueTests {
    @Test func `a value keeps order, number text and escapes`() throws {
        let text = #"{"z":1.50,"a":[true,null,-0,1e-7],"t":"é\"\\\n\u0001/","o":{"":{}}}"#
        let value = try JSONValue(parsing: Array(text.utf8))
        #expect(value["z"] == .number("1.50"))
        #expect(value["t"]?.stringValue == "é\"\\\n\u{1}/")
        #expect(value["a"]?.arrayValue == [.bool(true), .null, .number("-0"), .number("1e-7")])
        #expect(value.objectValue?.map(\.key) == ["z", "a", "t", "o"])
        #expect(String(decoding: value.encoded, as: UTF8.self) == text)
    }

    @Test func `an integer is only read from an integer`() {
        #expect(JSONValue.number("12").int64Value == 12)
        #expect(JSONValue.number("12.0").int64Value == nil)
        #expect(JSONValue.string("12").int64Value == nil)
        #expect(JSONValue(.min).int64Value == .min)
        #expect(JSONValue.bool(true).boolValue == true)
        #expect(JSONValue.null["a"] == nil)
    }

    @Test func `the writer sets commas and escapes what must be`() {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("a\"b", "line\nbreak \u{7F}\u{1F} é 😀 \\")
        writer.member("none", nil as String?)
        writer.member("min", Int64.min)
        writer.member("zero", 0)
        writer.member("flag", false)
        writer.key("list")
        writer.beginArray()
        writer.beginObject()
        writer.endObject()
        writer.beginArray()
        writer.endArray()
        writer.raw("{\"x\" : 1}".utf8)
        writer.null()
        writer.endArray()
        writer.key("last")
        writer.value(.array([.number("1"), .object([JSONMember("k", .string("v"))])]))
        writer.endObject()
        #expect(
            String(decoding: writer.bytes, as: UTF8.self)
                == #"{"a\"b":"line\nbreak \#u{7F}\u001f é 😀 \\","none":null,"min":-9223372036854775808,"zero":0,"#
                + #""flag":false,"list":[{},[],{"x" : 1},null],"last":[1,{"k":"v"}]}"#)
    }

    @Test func `every control character survives writing and reading`() throws {
        for length in 0..<20 {
            for code in UInt8(0)..<0x80 {
                let text = String(repeating: "a", count: length) + String(Unicode.Scalar(code)) + "bcdefghi"
                #expect(try JSONValue(parsing: JSONValue.string(text).encoded) == .string(text))
            }
        }
    }
}
