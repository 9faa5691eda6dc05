import Threads

/// A Lua script of the program; create each once, because it remembers what Redis calls it.
package final class RedisScript: Sendable {
    /// What it is called in logs.
    package let name: String
    /// The Lua text.
    package let source: String
    /// Whether it writes nothing; Redis then refuses its writes, and runs it when it has no memory left or is a replica.
    package let isReadOnly: Bool

    // The digest that Redis replied to SCRIPT LOAD. It depends on the source alone, so it holds for every server.
    private let digest = Locked<String?>(nil)

    /// Creates a script from its text.
    package init(name: String, source: String, isReadOnly: Bool = false) {
        self.name = name
        self.source = source
        self.isReadOnly = isReadOnly
    }

    /// Creates a script from an embedded file.
    package convenience init(name: String, source: [UInt8], isReadOnly: Bool = false) {
        self.init(name: name, source: String(decoding: source, as: UTF8.self), isReadOnly: isReadOnly)
    }

    /// What EVALSHA takes; nil before Redis has told.
    var sha1: String? {
        get { digest.withLock { $0 } }
        set { digest.withLock { $0 = newValue } }
    }

    /// The command that runs it by its digest.
    var digestCommand: String { isReadOnly ? "EVALSHA_RO" : "EVALSHA" }
    /// The command that runs it from its text.
    var sourceCommand: String { isReadOnly ? "EVAL_RO" : "EVAL" }
}
