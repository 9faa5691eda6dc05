package import JSON

/// What one event of a chat completion stream is.
package struct ChatChunk: Sendable, Equatable {
    /// The kinds of event; each event is of one kind.
    package enum Kind: Sendable, Equatable {
        /// An ordinary chunk with choices.
        case choices
        /// A chunk with usage and no choices, as `include_usage` asks for.
        case usageOnly
        /// An error of the provider.
        case error
        /// `[DONE]`.
        case done
        /// Not an object in JSON.
        case invalid
    }

    /// What kind of event it is.
    package let kind: Kind
    /// Whether it carried usage, believable or not.
    package let hasUsage: Bool
    /// Whether it delivered something that providers charge for.
    package let isBillable: Bool
    /// How much text it delivered.
    package let size: JSONTextSize
    /// Why a choice ended with this chunk.
    package let finishReason: String?
}

/// Follows a chat completion stream, event by event, for what must be known to charge for it.
package struct ChatStreamReader: Sendable {
    private(set) var document: JSONDocument

    /// The text delivered so far, from which a stream that is cut before its usage is charged by estimate.
    package private(set) var delivered = JSONTextSize()
    /// Whether anything was delivered that providers charge for.
    package private(set) var hasBillableOutput = false
    /// The usage reported so far.
    ///
    /// Counts are cumulative: of several reports the last one stands, but none that is smaller than one before it.
    package private(set) var usage: UsageReport?
    /// The last usage that could not be believed.
    package private(set) var usageError: UsageError?
    /// Why the last choice that ended did so.
    package private(set) var finishReason: String?
    /// The choices that have ended, each a bit.
    private(set) var finishedChoices: UInt64 = 0
    /// Whether `[DONE]` has come.
    package private(set) var isDone = false

    /// Creates a reader for one stream.
    package init(limits: JSONLimits = JSONLimits()) {
        document = JSONDocument(limits: limits)
    }

    /// Reads the data of one event.
    package mutating func read(_ data: UnsafeRawBufferPointer) -> ChatChunk {
        if ChatStreamReader.isDoneMark(data) {
            isDone = true
            return ChatChunk(
                kind: .done, hasUsage: false, isBillable: false, size: JSONTextSize(), finishReason: nil)
        }
        do throws(JSONError) {
            try document.load(data)
        } catch {
            return .invalid
        }
        guard document.root.kind == .object else { return .invalid }
        return readChunk()
    }

    /// The error that the event last read carried, when it was of kind `error`.
    package var providerError: ProviderError? { ProviderError(document) }

    private mutating func readChunk() -> ChatChunk {
        let root = document.root
        var choices: JSONNode?
        var usageNode: JSONNode?
        var isError = false
        var next = document.firstChild(of: root)
        while let member = next {
            if document.hasKey(member, "choices") {
                choices = member
            } else if document.hasKey(member, "usage") {
                usageNode = member.kind == .null ? nil : member
            } else if document.hasKey(member, "error") {
                isError = isError || member.kind != .null
            } else if document.hasKey(member, "object") {
                isError = isError || document.isString(member, "error")
            }
            next = document.child(after: member, of: root)
        }
        if let usageNode { readUsage(usageNode) }
        let output = choices.map { ChatOutput(choices: $0, of: document) } ?? ChatOutput()
        delivered += output.size
        hasBillableOutput = hasBillableOutput || output.isBillable
        finishReason = output.finishReason ?? finishReason
        finishedChoices |= output.finishedChoices
        let hasChoices = choices.map { !$0.isChildless } ?? false
        let kind: ChatChunk.Kind = isError ? .error : usageNode != nil && !hasChoices ? .usageOnly : .choices
        return ChatChunk(
            kind: kind, hasUsage: usageNode != nil, isBillable: output.isBillable, size: output.size,
            finishReason: output.finishReason)
    }

    private mutating func readUsage(_ node: JSONNode) {
        do throws(UsageError) {
            let report = try UsageReport(node, of: document)
            let former = usage.map { $0.promptTokens + $0.completionTokens } ?? 0
            if report.promptTokens + report.completionTokens >= former { usage = report }
        } catch {
            usageError = error
        }
    }

    private static func isDoneMark(_ data: UnsafeRawBufferPointer) -> Bool {
        let mark: StaticString = "[DONE]"
        guard data.count >= mark.utf8CodeUnitCount, data.count <= mark.utf8CodeUnitCount + 2 else {
            return false
        }
        let blank = UInt8(ascii: " ")
        return data.filter { $0 != blank }.elementsEqual("[DONE]".utf8)
    }
}

extension ChatChunk {
    fileprivate static let invalid = ChatChunk(
        kind: .invalid, hasUsage: false, isBillable: false, size: JSONTextSize(), finishReason: nil)
}
