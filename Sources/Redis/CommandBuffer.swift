/// Commands in the form Redis reads them, one after another in one buffer that is used again and again.
struct CommandBuffer {
    private(set) var bytes: [UInt8] = []

    /// Forgets all commands and keeps the memory, unless unusual ones made it large.
    mutating func removeAll() {
        bytes.removeAll(keepingCapacity: bytes.capacity <= 1 << 20)
    }

    /// Takes back what was appended after the buffer had this many bytes.
    mutating func truncate(to count: Int) {
        bytes.removeSubrange(count...)
    }

    /// Appends a command of words.
    mutating func append(_ words: [String]) {
        begin(wordCount: words.count)
        for word in words { append(word: word) }
    }

    /// Appends the call of a script, which is named by its digest or given in full; half of it when its arguments throw.
    mutating func append(
        command: String, script: String, call: ScriptCall, facts: ConnectionFacts
    ) throws(RedisError) {
        let start = bytes.count
        append(word: command)
        append(word: script)
        append(word: Int64(call.keys.count))
        for key in call.keys { append(word: key) }
        // The memory goes along and comes back: the arguments are written where they are sent from.
        var arguments = ScriptArguments(CommandBuffer())
        swap(&arguments.words, &self)
        defer { swap(&arguments.words, &self) }
        try call.arguments(&arguments, facts)
        // How many words there are is known last and stands first.
        var head = CommandBuffer()
        head.begin(wordCount: 3 + call.keys.count + arguments.count)
        arguments.words.bytes.insert(contentsOf: head.bytes, at: start)
    }

    /// Appends a word of a command.
    mutating func append(word: String) {
        var word = word
        word.withUTF8 { append(word: $0) }
    }

    /// Appends a word that is there as bytes.
    mutating func append(word: UnsafeBufferPointer<UInt8>) {
        append(UInt8(ascii: "$"), word.count)
        bytes.append(contentsOf: word)
        bytes.append(UInt8(ascii: "\r"))
        bytes.append(UInt8(ascii: "\n"))
    }

    /// Appends a number as a word, without making a text of it.
    mutating func append(word number: Int64) {
        Self.withBackwardText { text in
            text.endLine()
            text.prepend(number)
            let length = text.written.count - 2
            text.endLine()
            text.prepend(Int64(length))
            text.prepend(UInt8(ascii: "$"))
            bytes.append(contentsOf: text.written)
        }
    }

    private mutating func begin(wordCount: Int) {
        append(UInt8(ascii: "*"), wordCount)
    }

    private mutating func append(_ sign: UInt8, _ number: Int) {
        Self.withBackwardText { text in
            text.endLine()
            text.prepend(Int64(number))
            text.prepend(sign)
            bytes.append(contentsOf: text.written)
        }
    }

    private static func withBackwardText(_ body: (inout BackwardText) -> Void) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: BackwardText.lengthMax) { buffer in
            var text = BackwardText(buffer)
            body(&text)
        }
    }
}

/// A short text written from its end, as digits come from a number, so that it is appended at once.
private struct BackwardText {
    /// A sign, the two digits of a length, a number of twenty characters, and two ends of lines.
    static let lengthMax = 27

    private let buffer: UnsafeMutableBufferPointer<UInt8>
    private var start: Int

    init(_ buffer: UnsafeMutableBufferPointer<UInt8>) {
        self.buffer = buffer
        start = buffer.endIndex
    }

    var written: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(rebasing: buffer[start...]) }

    mutating func prepend(_ byte: UInt8) {
        start -= 1
        buffer[start] = byte
    }

    mutating func prepend(_ number: Int64) {
        var rest = number.magnitude
        repeat {
            prepend(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        } while rest > 0
        if number < 0 { prepend(UInt8(ascii: "-")) }
    }

    mutating func endLine() {
        prepend(UInt8(ascii: "\n"))
        prepend(UInt8(ascii: "\r"))
    }
}
