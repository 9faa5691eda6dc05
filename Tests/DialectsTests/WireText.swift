import Dialects
import JSON

/// Bytes as text, for comparing with what a test expects.
func text(_ bytes: some Sequence<UInt8>) -> String {
    String(decoding: Array(bytes), as: UTF8.self)
}

/// A chat request with one short message and these members beside `model` and `messages`.
func chatBody(_ members: String = "") -> [UInt8] {
    Array(
        (#"{"model":"gpt-4o","messages":[{"role":"user","content":"Hi"}]"#
            + (members.isEmpty ? "" : "," + members) + "}").utf8)
}

/// A chat request with these messages.
func chatBody(messages: String) -> [UInt8] {
    Array(#"{"model":"gpt-4o","messages":\#(messages)}"#.utf8)
}
