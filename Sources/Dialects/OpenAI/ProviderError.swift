package import JSON

/// What a provider says went wrong, out of any of the shapes that providers use.
///
/// Its text comes from outside and may quote our credential or the provider's account: it is fit for logs, and for clients
/// only after that was thought of.
package struct ProviderError: Sendable, Equatable {
    private static let messageCharactersMax = 1_000
    private static let labelCharactersMax = 100

    /// The provider's message, cut to 1,000 characters.
    package let message: String
    /// The provider's class of error.
    package let type: String?
    /// The provider's code, numbers as text.
    package let code: String?
    /// The field that the provider objects to.
    package let param: String?

    /// Reads an error body; nil when it holds no message in a known shape.
    package init?(parsing body: [UInt8]) {
        // What is not JSON, such as a proxy's page in HTML, has no message for anybody.
        guard let document = try? JSONDocument(body) else { return nil }
        self.init(document)
    }

    /// Reads an error out of a document; nil when it holds no message in a known shape.
    package init?(_ document: JSONDocument) {
        var outer = document.root
        if outer.kind == .array, let first = document.firstChild(of: outer) { outer = first }
        let inner = document.nonNullMember("error", of: outer) ?? outer
        let candidates = [
            inner, document.member("message", of: inner), document.member("message", of: outer),
            document.member("detail", of: outer),
        ]
        guard let node = candidates.compactMap(\.self).first(where: { $0.kind == .string }) else {
            return nil
        }
        message =
            ProviderError.text(node, of: document, charactersMax: ProviderError.messageCharactersMax) ?? ""
        type = ProviderError.label("type", of: inner, in: document)
        code = ProviderError.label("code", of: inner, in: document)
        param = ProviderError.label("param", of: inner, in: document)
    }

    private static func label(_ key: StaticString, of object: JSONNode, in document: JSONDocument) -> String?
    {
        guard let node = document.member(key, of: object) else { return nil }
        return text(node, of: document, charactersMax: labelCharactersMax)
    }

    private static func text(_ node: JSONNode, of document: JSONDocument, charactersMax: Int) -> String? {
        switch node.kind {
        // Strings never fail to be read as strings.
        case .string: (try? document.string(node)).map { String($0.prefix(charactersMax)) }
        case .number: document.literal(node)
        default: nil
        }
    }
}
