/// Commands in the form Redis reads them, one after another in one buffer that is used again and again.
struct CommandBuffer {
    private(set) var bytes: [UInt8] = []

    /// Forgets all commands and keeps the memory, unless unusual ones made it large.
    mutating func removeAll() {
        bytes.removeAll(keepingCapacity: bytes.capacity <= 1 << 20)
    }

    /// Appends a command of words.
    mutating func append(_ words: [String]) {
        begin(wordCount: words.count)
        for word in words { append(word: word) }
    }

    /// Appends the call of a script, which is named by its digest or given in full.
    mutating func append(command: String, script: String, keys: [String], arguments: [String]) {
        begin(wordCount: 3 + keys.count + arguments.count)
        append(word: command)
        append(word: script)
        append(word: String(keys.count))
        for key in keys { append(word: key) }
        for argument in arguments { append(word: argument) }
    }

    private mutating func begin(wordCount: Int) {
        append(UInt8(ascii: "*"), wordCount)
    }

    private mutating func append(word: String) {
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
