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

    /// Appends the call of a script, which is named by its digest or given in full; half of it when `build` throws.
    mutating func append(
        command: String, script: String, keys: [String],
        build: (inout ScriptArguments) throws(RedisError) -> Void
    ) throws(RedisError) {
        let start = bytes.count
        append(word: command)
        append(word: script)
        append(word: String(keys.count))
        for key in keys { append(word: key) }
        // The memory goes along and comes back: the arguments are written where they are sent from.
        var arguments = ScriptArguments(CommandBuffer())
        swap(&arguments.words, &self)
        defer { swap(&arguments.words, &self) }
        try build(&arguments)
        // How many words there are is known last and stands first.
        var head = CommandBuffer()
        head.begin(wordCount: 3 + keys.count + arguments.count)
        arguments.words.bytes.insert(contentsOf: head.bytes, at: start)
    }

    private mutating func begin(wordCount: Int) {
        append(UInt8(ascii: "*"), wordCount)
    }

    fileprivate mutating func append(word: String) {
        append(UInt8(ascii: "$"), word.utf8.count)
        bytes.append(contentsOf: word.utf8)
        endLine()
    }

    private mutating func append(_ sign: UInt8, _ number: Int) {
        bytes.append(sign)
        if number < 10 {
            bytes.append(UInt8(ascii: "0") + UInt8(number))
        } else {
            bytes.append(contentsOf: String(number).utf8)
        }
        endLine()
    }

    private mutating func endLine() {
        bytes.append(UInt8(ascii: "\r"))
        bytes.append(UInt8(ascii: "\n"))
    }
}

/// The arguments of a script, being written into the command that carries them.
package struct ScriptArguments {
    fileprivate var words: CommandBuffer
    fileprivate var count = 0

    fileprivate init(_ words: CommandBuffer) {
        self.words = words
    }

    /// Adds a text.
    package mutating func add(_ text: String) {
        words.append(word: text)
        count += 1
    }

    /// Adds a number.
    package mutating func add(_ number: some BinaryInteger) {
        add(String(number))
    }
}
