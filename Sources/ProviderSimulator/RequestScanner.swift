/// What the simulated provider wants to know of a chat request.
struct ScannedRequest {
    /// The model's name, as the bytes between the quotes.
    var model: [UInt8]?
    var isStream = false
    var includesUsage = false
    /// `max_completion_tokens`, or else `max_tokens`.
    var completionTokensMax: Int?
    var choices = 1
    /// Words in the contents of all messages.
    var promptWords = 0

    /// Reads a request body; nil when it is not a JSON object, or one of the fields has the wrong type.
    init?(_ body: UnsafeBufferPointer<UInt8>) {
        var scanner = RequestScanner(bytes: body)
        guard scanner.scanRequest(into: &self), scanner.isAtEnd else { return nil }
    }
}

/// Finds a few fields of a JSON object in one pass; everything else is only skipped.
struct RequestScanner {
    private static let depthMax = 64

    private let bytes: UnsafeBufferPointer<UInt8>
    private var index = 0

    init(bytes: UnsafeBufferPointer<UInt8>) {
        self.bytes = bytes
    }

    /// Whether only white space is left.
    var isAtEnd: Bool {
        mutating get {
            skipSpace()
            return index == bytes.count
        }
    }

    mutating func scanRequest(into request: inout ScannedRequest) -> Bool {
        var maxTokens: Int?
        let isObject = scanObject { scanner, key in
            if key.elementsEqual("model".utf8) {
                guard let text = scanner.scanString() else { return false }
                request.model = Array(text)
                return true
            }
            if key.elementsEqual("messages".utf8) {
                return scanner.scanArray { $0.scanMessage(words: &request.promptWords) }
            }
            if key.elementsEqual("stream".utf8) { return scanner.scanFlag(into: &request.isStream) }
            if key.elementsEqual("stream_options".utf8) {
                return scanner.scanStreamOptions(includesUsage: &request.includesUsage)
            }
            if key.elementsEqual("max_tokens".utf8) { return scanner.scanInteger(into: &maxTokens) }
            if key.elementsEqual("max_completion_tokens".utf8) {
                return scanner.scanInteger(into: &request.completionTokensMax)
            }
            if key.elementsEqual("n".utf8) {
                var choices: Int?
                guard scanner.scanInteger(into: &choices) else { return false }
                request.choices = choices ?? 1
                return true
            }
            return scanner.skipValue(depth: 1)
        }
        request.completionTokensMax = request.completionTokensMax ?? maxTokens
        return isObject
    }

    private mutating func scanMessage(words: inout Int) -> Bool {
        scanObject { scanner, key in
            guard key.elementsEqual("content".utf8) else { return scanner.skipValue(depth: 2) }
            switch scanner.nextByte {
            case UInt8(ascii: "\""):
                return scanner.scanText(words: &words)
            case UInt8(ascii: "["):
                return scanner.scanArray { $0.scanPart(words: &words) }
            default:
                return scanner.skipValue(depth: 2)
            }
        }
    }

    private mutating func scanPart(words: inout Int) -> Bool {
        scanObject { scanner, key in
            key.elementsEqual("text".utf8) && scanner.nextByte == UInt8(ascii: "\"")
                ? scanner.scanText(words: &words) : scanner.skipValue(depth: 3)
        }
    }

    private mutating func scanStreamOptions(includesUsage: inout Bool) -> Bool {
        guard nextByte == UInt8(ascii: "{") else { return skipValue(depth: 1) }
        return scanObject { scanner, key in
            key.elementsEqual("include_usage".utf8)
                ? scanner.scanFlag(into: &includesUsage) : scanner.skipValue(depth: 2)
        }
    }

    // MARK: - JSON

    private var nextByte: UInt8? {
        mutating get {
            skipSpace()
            return index < bytes.count ? bytes[index] : nil
        }
    }

    private mutating func skipSpace() {
        while index < bytes.count, Self.isSpace(bytes[index]) { index += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard nextByte == byte else { return false }
        index += 1
        return true
    }

    /// Reads an object; `field` reads the value of each key.
    private mutating func scanObject(
        _ field: (inout RequestScanner, Slice<UnsafeBufferPointer<UInt8>>) -> Bool
    ) -> Bool {
        guard take(UInt8(ascii: "{")) else { return false }
        if take(UInt8(ascii: "}")) { return true }
        repeat {
            guard let key = scanString(), take(UInt8(ascii: ":")), field(&self, key) else { return false }
        } while take(UInt8(ascii: ","))
        return take(UInt8(ascii: "}"))
    }

    private mutating func scanArray(_ element: (inout RequestScanner) -> Bool) -> Bool {
        guard take(UInt8(ascii: "[")) else { return false }
        if take(UInt8(ascii: "]")) { return true }
        repeat {
            guard element(&self) else { return false }
        } while take(UInt8(ascii: ","))
        return take(UInt8(ascii: "]"))
    }

    /// Reads a string; the result is what stands between the quotes.
    private mutating func scanString() -> Slice<UnsafeBufferPointer<UInt8>>? {
        guard take(UInt8(ascii: "\"")) else { return nil }
        let start = index
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "\""):
                index += 1
                return bytes[start..<(index - 1)]
            case UInt8(ascii: "\\"):
                index += 2
            default:
                index += 1
            }
        }
        return nil
    }

    private mutating func scanText(words: inout Int) -> Bool {
        guard let text = scanString() else { return false }
        var isInWord = false
        var position = text.startIndex
        while position < text.endIndex {
            let isEscape = bytes[position] == UInt8(ascii: "\\")
            let byte = isEscape ? bytes[position + 1] : bytes[position]
            let isSeparator = isEscape ? "nrt".utf8.contains(byte) : Self.isSpace(byte)
            if !isSeparator && !isInWord { words += 1 }
            isInWord = !isSeparator
            position += isEscape ? 2 : 1
        }
        return true
    }

    private mutating func scanFlag(into flag: inout Bool) -> Bool {
        switch word() {
        case "true": flag = true
        case "false", "null": flag = false
        default: return false
        }
        return true
    }

    private mutating func scanInteger(into number: inout Int?) -> Bool {
        let text = word()
        number = Int(text)
        return number != nil || text == "null"
    }

    /// Reads a number, `true`, `false` or `null`.
    private mutating func word() -> String {
        skipSpace()
        let start = index
        while index < bytes.count, Self.isWordByte(bytes[index]) { index += 1 }
        return String(decoding: bytes[start..<index], as: UTF8.self)
    }

    private mutating func skipValue(depth: Int) -> Bool {
        guard depth <= Self.depthMax, let byte = nextByte else { return false }
        switch byte {
        case UInt8(ascii: "{"):
            return scanObject { scanner, _ in scanner.skipValue(depth: depth + 1) }
        case UInt8(ascii: "["):
            return scanArray { $0.skipValue(depth: depth + 1) }
        case UInt8(ascii: "\""):
            return scanString() != nil
        default:
            return !word().isEmpty
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "E"),
            UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."):
            true
        default:
            false
        }
    }
}
