import CLibCurl

/// The header fields of a handle's requests, as libcurl takes them.
///
/// The requests of one handle differ in few fields, which come last: what they begin with in common is checked and copied once.
struct HeaderList: ~Copyable {
    private typealias Node = UnsafeMutablePointer<curl_slist>

    private var nodes: [Node] = []
    /// The fields that the last nodes hold; those before them are ours.
    private var fields: [(name: String, value: String)] = []
    private var addsAcceptEncoding = false

    deinit {
        curl_slist_free_all(nodes.first)
    }

    /// Makes it the list of these fields and returns it, to be used until the next call.
    mutating func set(
        _ wanted: [(name: String, value: String)]
    ) throws(HTTPClientError) -> UnsafePointer<curl_slist>? {
        try addOwn(acceptEncoding: !wanted.contains { RequestRules.isSame($0.name, "accept-encoding") })
        var kept = 0
        while kept < min(fields.count, wanted.count), fields[kept] == wanted[kept] { kept += 1 }
        cut(to: nodes.count - fields.count + kept)
        while fields.count > kept { fields.removeLast() }
        for field in wanted[kept...] {
            try RequestRules.check(field)
            // libcurl takes "name:" for a field to leave out and "name;" for an empty one.
            try append(field.value.isEmpty ? "\(field.name);" : "\(field.name): \(field.value)")
            fields.append(field)
        }
        return nodes.first.map { UnsafePointer($0) }
    }

    private mutating func addOwn(acceptEncoding: Bool) throws(HTTPClientError) {
        guard nodes.isEmpty || acceptEncoding != addsAcceptEncoding else { return }
        cut(to: 0)
        fields.removeAll()
        addsAcceptEncoding = acceptEncoding
        // No `Expect` of libcurl's own, and no content type but the caller's.
        try append("Expect:")
        try append("Content-Type:")
        if acceptEncoding { try append("Accept-Encoding: identity") }
    }

    private mutating func append(_ line: String) throws(HTTPClientError) {
        // At the last node, so that it does not look for the end.
        let list = line.withCString { curl_slist_append(nodes.last, $0) }
        guard let list else { throw .resourcesExhausted("no memory for headers") }
        nodes.append(list.pointee.next ?? list)
    }

    private mutating func cut(to count: Int) {
        guard count < nodes.count else { return }
        curl_slist_free_all(nodes[count])
        while nodes.count > count { nodes.removeLast() }
        nodes.last?.pointee.next = nil
    }
}
