import CLibCurl
import Glibc

/// The addresses that a URL's host has at this moment, for looking without connecting.
package enum HostAddresses {
    /// One address.
    package struct Entry: Sendable, Equatable {
        /// The address in digits.
        package let address: String
        /// What a connection to it needs.
        package let permission: AddressPermission
    }

    /// Resolves the host of a URL, as a transfer would; may wait for name servers as long as they are configured to.
    package static func of(url: String) throws(HTTPClientError) -> [Entry] {
        try RequestRules.check(url: url)
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(try host(of: url), nil, &hints, &list) == 0 else { throw .resolveFailed }
        defer { freeaddrinfo(list) }
        var entries: [Entry] = []
        var next = list
        while let info = next?.pointee {
            if let address = info.ai_addr {
                entries.append(
                    Entry(
                        address: AddressGuard.text(address, length: info.ai_addrlen),
                        permission: AddressGuard.permission(address)))
            }
            next = info.ai_next
        }
        return entries
    }

    /// The host as libcurl understands the URL, without the brackets of an IPv6 address.
    private static func host(of url: String) throws(HTTPClientError) -> String {
        guard let parser = curl_url() else { throw .resourcesExhausted("no memory for a URL") }
        defer { curl_url_cleanup(parser) }
        var part: UnsafeMutablePointer<CChar>?
        guard curl_url_set(parser, CURLUPART_URL, url, 0) == CURLUE_OK,
            curl_url_get(parser, CURLUPART_HOST, &part, 0) == CURLUE_OK, let part
        else { throw .invalidRequest("libcurl does not accept the URL") }
        defer { curl_free(part) }
        let host = String(cString: part)
        return host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
    }
}
