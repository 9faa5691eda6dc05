extension JSONScanner {
    /// Up to this many members, a key is compared when it comes; beyond, all are sorted when the object ends.
    private static let comparedAtOnceMax = 32
    /// Makes keys whose hashes collide on purpose impossible to prepare.
    static let seed = UInt64.random(in: .min ... .max)

    /// Scans a key and its colon, and leaves the key where the next node finds it.
    @inline(__always)
    mutating func scanKey(of frame: inout JSONFrame) throws(JSONError) {
        guard position < end else { throw JSONError(.unexpectedEnd, at: end) }
        guard base[position] == .quote else { throw JSONError(.unexpectedByte, at: position) }
        let start = position + 1
        let isEscaped = try scanString()
        let length = position - 1 - start
        let count = tape.keys.count - frame.keysStart
        guard count < limits.membersMax else { throw JSONError(.tooManyMembers, at: start - 1) }
        let hash = hashOfKey(start: start, length: length, isEscaped: isEscaped)
        let bit: UInt64 = 1 << (hash >> 58)
        if frame.filter & bit != 0, count <= JSONScanner.comparedAtOnceMax {
            try compare(hash, start: start, length: length, isEscaped: isEscaped, in: frame)
        }
        frame.filter |= bit
        tape.keys.append(JSONKey(hash: hash, node: UInt32(truncatingIfNeeded: tape.nodes.count)))
        skipSpace()
        guard position < end else { throw JSONError(.unexpectedEnd, at: end) }
        guard base[position] == .colon else { throw JSONError(.unexpectedByte, at: position) }
        position += 1
        skipSpace()
        (keyStart, keyLength, keyIsEscaped) = (start, length, isEscaped)
    }

    /// Forgets an object's keys, after the check that a large object still needs.
    mutating func closeKeys(of frame: JSONFrame) throws(JSONError) {
        if tape.keys.count - frame.keysStart > JSONScanner.comparedAtOnceMax {
            try checkSorted(frame.keysStart)
        }
        tape.keys.removeLast(tape.keys.count - frame.keysStart)
    }

    private func compare(
        _ hash: UInt64, start: Int, length: Int, isEscaped: Bool, in frame: JSONFrame
    ) throws(JSONError) {
        let key = JSONKeyText(base: base, start: start, length: length, isEscaped: isEscaped)
        for index in frame.keysStart..<tape.keys.count where tape.keys[index].hash == hash {
            guard !key.isEqual(to: text(of: tape.keys[index])) else {
                throw JSONError(.duplicateKey, at: start - 1)
            }
        }
    }

    private mutating func checkSorted(_ keysStart: Int) throws(JSONError) {
        tape.keys[keysStart...].sort { ($0.hash, $0.node) < ($1.hash, $1.node) }
        var firstDuplicate: Int?
        for index in keysStart + 1..<tape.keys.count {
            let key = text(of: tape.keys[index])
            var other = index - 1
            while other >= keysStart, tape.keys[other].hash == tape.keys[index].hash {
                if key.isEqual(to: text(of: tape.keys[other])) {
                    firstDuplicate = min(key.start, firstDuplicate ?? .max)
                    break
                }
                other -= 1
            }
        }
        if let firstDuplicate { throw JSONError(.duplicateKey, at: firstDuplicate - 1) }
    }

    private func text(of key: JSONKey) -> JSONKeyText {
        let node = tape.nodes[Int(key.node)]
        return JSONKeyText(
            base: base, start: Int(node.keyStart), length: Int(node.keyLength),
            isEscaped: node.flags & JSONNode.keyIsEscaped != 0)
    }

    @inline(__always)
    private func hashOfKey(start: Int, length: Int, isEscaped: Bool) -> UInt64 {
        guard isEscaped else { return hash(base + start, length) }
        let key = JSONKeyText(base: base, start: start, length: length, isEscaped: true)
        return key.unescaped.withUnsafeBufferPointer { bytes in
            guard let first = bytes.baseAddress else { return hash(base, 0) }
            return hash(first, bytes.count)
        }
    }

    private func hash(_ bytes: UnsafePointer<UInt8>, _ length: Int) -> UInt64 {
        var state = seed ^ UInt64(truncatingIfNeeded: length)
        var index = 0
        while index + 8 <= length {
            state = mixed(state ^ JSONText.word(bytes + index))
            index += 8
        }
        var rest: UInt64 = 0
        while index < length {
            rest = rest << 8 | UInt64(bytes[index])
            index += 1
        }
        return mixed(state ^ rest)
    }

    @inline(__always)
    private func mixed(_ value: UInt64) -> UInt64 {
        let product = (value ^ seed.byteSwapped).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
        return product.high ^ product.low
    }
}

/// The inside of a key, as it stands in the input.
struct JSONKeyText {
    let base: UnsafePointer<UInt8>
    let start: Int
    let length: Int
    let isEscaped: Bool

    private var bytes: UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(start: base + start, count: length)
    }

    var unescaped: [UInt8] { JSONText.unescaped(bytes) }

    func isEqual(to other: JSONKeyText) -> Bool {
        guard isEscaped || other.isEscaped else { return JSONText.areEqual(bytes, other.bytes) }
        return unescaped == other.unescaped
    }
}
