/// One call of a script.
package struct ScriptCall: Sendable {
    /// Writes ARGV for the connection that will carry the call.
    package typealias Arguments =
        @Sendable (inout ScriptArguments, ConnectionFacts) throws(RedisError) -> Void

    let script: RedisScript
    let keys: [String]
    let arguments: Arguments

    /// Creates a call.
    ///
    /// - Parameters:
    ///   - script: What is called.
    ///   - keys: What KEYS contains.
    ///   - arguments: Runs on another thread, maybe twice, and must not wait for anything; it throws when it cannot, usually
    ///     `unknownIdentity`, and nothing is sent then.
    package init(_ script: RedisScript, keys: [String], arguments: @escaping Arguments) {
        self.script = script
        self.keys = keys
        self.arguments = arguments
    }
}

/// The arguments of a script, being written into the command that carries them.
package struct ScriptArguments {
    var words: CommandBuffer
    private(set) var count = 0

    init(_ words: CommandBuffer) {
        self.words = words
    }

    /// Adds a text.
    package mutating func add(_ text: String) {
        words.append(word: text)
        count += 1
    }

    /// Adds a text that is there as bytes.
    package mutating func add(_ utf8: UnsafeBufferPointer<UInt8>) {
        words.append(word: utf8)
        count += 1
    }

    /// Adds a number.
    package mutating func add(_ number: Int64) {
        words.append(word: number)
        count += 1
    }
}
