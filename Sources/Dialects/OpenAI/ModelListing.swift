import JSON

/// A model in the answer to `/v1/models`.
package struct ModelListing: Sendable, Equatable {
    /// The name that clients ask for.
    package let id: String
    /// When it was offered first, in seconds since 1970.
    package let createdSeconds: Int64
    /// Whose model it is.
    package let owner: String

    /// Creates an entry.
    package init(id: String, createdSeconds: Int64, owner: String) {
        self.id = id
        self.createdSeconds = createdSeconds
        self.owner = owner
    }

    /// The body of `/v1/models/{model}`.
    package var body: [UInt8] {
        var writer = JSONWriter()
        write(to: &writer)
        return writer.bytes
    }

    /// The body of `/v1/models`.
    package static func listBody(_ models: [ModelListing]) -> [UInt8] {
        var writer = JSONWriter(capacityBytes: 64 + 100 * models.count)
        writer.beginObject()
        writer.member("object", "list")
        writer.key("data")
        writer.beginArray()
        for model in models { model.write(to: &writer) }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }

    private func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("id", id)
        writer.member("object", "model")
        writer.member("created", createdSeconds)
        writer.member("owned_by", owner)
        writer.endObject()
    }
}
