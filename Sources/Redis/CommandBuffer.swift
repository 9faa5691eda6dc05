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
        endLine()
    }

    /// Appends a number as a word, without making a text of it.
    mutating func append(word number: Int64) {
        Self.withDigits(of: number) { append(word: $0) }
    }

    private mutating func begin(wordCount: Int) {
        append(UInt8(ascii: "*"), wordCount)
    }

    private mutating func append(_ sign: UInt8, _ number: Int) {
        bytes.append(sign)
        Self.withDigits(of: Int64(number)) { bytes.append(contentsOf: $0) }
        endLine()
    }

    private mutating func endLine() {
        bytes.append(UInt8(ascii: "\r"))
        bytes.append(UInt8(ascii: "\n"))
    }

    private static func withDigits(of number: Int64, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        // A sign and nineteen digits.
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { buffer in
            var start = buffer.endIndex
            var rest = number.magnitude
            repeat {
                start -= 1
                buffer[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            } while rest > 0
            if number < 0 {
                start -= 1
                buffer[start] = UInt8(ascii: "-")
            }
            body(UnsafeBufferPointer(rebasing: buffer[start...]))
        }
    }
}
