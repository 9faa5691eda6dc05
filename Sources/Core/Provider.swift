/// Whose API serves requests, and how it is reached.
package struct Provider: Sendable, Hashable {
    /// Its name in our catalogue.
    package let name: String
    /// Where its API begins, without a trailing slash: `https://api.example.com/v1`.
    package let baseURL: String
    /// Our secret for calling it.
    package let credential: String
    /// Whether its address may be private (the machine itself, a local network).
    package let allowsPrivateAddresses: Bool

    /// Creates a provider.
    package init(name: String, baseURL: String, credential: String, allowsPrivateAddresses: Bool) {
        self.name = name
        self.baseURL = baseURL
        self.credential = credential
        self.allowsPrivateAddresses = allowsPrivateAddresses
    }
}

extension Provider {
    /// A text of the provider's without our credential, of which providers like to quote the beginning and the end.
    package func redacted(_ text: String) -> String {
        var safe = text.replacing(credential, with: "[credential]")
        let quotedLength = 8
        guard credential.count > 2 * quotedLength else { return safe }
        for part in [credential.prefix(quotedLength), credential.suffix(quotedLength)] {
            safe = safe.replacing(part, with: "[credential]")
        }
        return safe
    }
}

/// One model at one provider: what a request is sent to, and what it costs there.
package struct ProviderModel: Sendable, Hashable {
    /// The catalogue's number for it.
    package let id: Int64
    /// The name clients use.
    package let model: String
    /// Whose API serves it.
    package let provider: Provider
    /// The name the provider uses.
    package let upstreamModel: String
    /// Lower is tried first.
    package let priority: Int32
    /// Its share among those of equal priority.
    package let weight: Int32
    /// The most answer tokens one answer may have.
    package let outputTokensMax: Int64
    /// How many bytes make at least one prompt token; 1 is safe for every byte-level tokenizer.
    package let bytesPerToken: Int64
    /// The request field in which this provider takes the output cap.
    package let outputCapField: String
    /// The price now in force; nil means that billed callers are refused.
    package let price: Price?

    /// Creates a provider model.
    package init(
        id: Int64, model: String, provider: Provider, upstreamModel: String, priority: Int32, weight: Int32,
        outputTokensMax: Int64, bytesPerToken: Int64, outputCapField: String, price: Price?
    ) {
        self.id = id
        self.model = model
        self.provider = provider
        self.upstreamModel = upstreamModel
        self.priority = priority
        self.weight = weight
        self.outputTokensMax = outputTokensMax
        self.bytesPerToken = bytesPerToken
        self.outputCapField = outputCapField
        self.price = price
    }
}
