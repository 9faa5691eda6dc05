import JSON

/// What a provider's answer, or one chunk of it, delivers: the part of it that costs money.
struct ChatOutput: Sendable, Equatable {
    /// How much text was delivered, in all fields together.
    var size = JSONTextSize()
    /// Whether anything was delivered that providers charge for.
    var isBillable = false
    /// Why a choice ended; the last one when there are several.
    var finishReason: String?
    /// The choices that ended, each a bit.
    var finishedChoices: UInt64 = 0

    /// The output of a chunk without choices.
    init() {}

    /// Reads a `choices` array, of a chunk as well as of a plain answer.
    init(choices: JSONNode, of document: JSONDocument) {
        guard choices.kind == .array else { return }
        var next = document.firstChild(of: choices)
        while let choice = next {
            readChoice(choice, of: document)
            next = document.child(after: choice, of: choices)
        }
    }

    private mutating func readChoice(_ choice: JSONNode, of document: JSONDocument) {
        guard choice.kind == .object else { return }
        var index: Int64 = 0
        var hasEnded = false
        var next = document.firstChild(of: choice)
        while let member = next {
            if document.hasKey(member, "delta") || document.hasKey(member, "message") {
                readMessage(member, of: document)
            } else if document.hasKey(member, "finish_reason"), member.kind == .string {
                // Strings never fail to be read as strings.
                finishReason = try? document.string(member)
                hasEnded = true
            } else if document.hasKey(member, "index") {
                // One that is no number names no choice.
                index = (try? document.int64(member)) ?? 0
            }
            next = document.child(after: member, of: choice)
        }
        if hasEnded, (0..<64).contains(index) { finishedChoices |= 1 << UInt64(index) }
    }

    private mutating func readMessage(_ message: JSONNode, of document: JSONDocument) {
        guard message.kind == .object else { return }
        // Some providers send the same thoughts under two names; they are counted once.
        var thoughts = JSONTextSize()
        var next = document.firstChild(of: message)
        while let member = next {
            if document.hasKey(member, "reasoning_content") || document.hasKey(member, "reasoning") {
                let size = ChatOutput.textSize(of: member, in: document)
                if size.bytes > thoughts.bytes { thoughts = size }
            } else if ChatOutput.isBillableField(member, of: document) {
                size += ChatOutput.textSize(of: member, in: document)
                isBillable = isBillable || !(member.isEmptyString || member.kind == .null || member.isEmpty)
            }
            next = document.child(after: member, of: message)
        }
        size += thoughts
        isBillable = isBillable || thoughts.bytes > 0
    }

    private static func isBillableField(_ member: JSONNode, of document: JSONDocument) -> Bool {
        document.hasKey(member, "content") || document.hasKey(member, "tool_calls")
            || document.hasKey(member, "refusal") || document.hasKey(member, "function_call")
            || document.hasKey(member, "audio")
    }

    /// The text in a value and in everything inside it, without the fields that only name or label things.
    ///
    /// Recursion is bounded by the depth that documents are scanned with.
    private static func textSize(of node: JSONNode, in document: JSONDocument) -> JSONTextSize {
        guard node.kind == .object || node.kind == .array else { return document.textSize(of: node) }
        var size = JSONTextSize()
        var next = document.firstChild(of: node)
        while let child = next {
            let isLabel =
                document.hasKey(child, "id") || document.hasKey(child, "type")
                || document.hasKey(child, "data")
            if !isLabel { size += textSize(of: child, in: document) }
            next = document.child(after: child, of: node)
        }
        return size
    }
}

extension JSONNode {
    /// Whether it is an object or array with nothing in it.
    fileprivate var isEmpty: Bool { (kind == .object || kind == .array) && isChildless }
}
