/// What a scan leaves behind, and the memory it works in.
struct JSONTape: Sendable {
    /// Every value, in the order in which they begin.
    var nodes: [JSONNode] = []
    /// The keys of the objects that are open, outermost first.
    var keys: [JSONKey] = []
    /// The objects and arrays around the one being scanned.
    var frames: [JSONFrame] = []

    mutating func removeAll() {
        nodes.removeAll(keepingCapacity: true)
        keys.removeAll(keepingCapacity: true)
        frames.removeAll(keepingCapacity: true)
    }
}

/// A key of an object that is still open.
struct JSONKey: Sendable {
    let hash: UInt64
    /// The node of the member.
    let node: UInt32
}

/// An object or array whose end has not been seen.
struct JSONFrame: Sendable {
    let node: Int
    let isObject: Bool
    /// Where this object's keys begin.
    let keysStart: Int
    /// One bit for each value of six bits of a hash that a key of this object has.
    var filter: UInt64 = 0
}
