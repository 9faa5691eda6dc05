import Glibc

/// What a connection to an address needs before it is opened.
package enum AddressPermission: Sendable, Equatable {
    /// The address is public: nothing.
    case notNeeded
    /// The address is private, local, or a way around that: somebody who may decide it must have allowed such addresses.
    case needed
    /// Nobody calls an API there, and some of these hand out a machine's credentials: no permission is enough.
    case neverGiven
}

/// Tells public addresses from those an outside party must not make this process connect to.
///
/// It sees the address that is about to be connected to, not the name, so a name that resolves to another address the second
/// time (DNS rebinding) gains nothing. Ports are the caller's: which one an API listens on says nothing about whose it is.
enum AddressGuard {
    private typealias Network = (prefix: UInt32, prefixBits: UInt32)

    /// Private, local, shared, documentation, benchmark and other special networks.
    private static let privateNetworks: [Network] = [
        (0x0000_0000, 8), (0x0A00_0000, 8), (0x6440_0000, 10), (0x7F00_0000, 8), (0xAC10_0000, 12),
        (0xC000_0000, 24), (0xC000_0200, 24), (0xC058_6300, 24), (0xC0A8_0000, 16), (0xC612_0000, 15),
        (0xC633_6400, 24), (0xCB00_7100, 24),
    ]

    /// Link-local, multicast and reserved networks, and what clouds answer at elsewhere: Alibaba's and Oracle's metadata, Azure's
    /// wire server.
    private static let closedNetworks: [Network] = [
        (0xA9FE_0000, 16), (0xE000_0000, 3), (0x6464_64C8, 32), (0xC000_00C0, 32), (0xA83F_8110, 32),
    ]

    /// The first four bytes of networks inside 2000::/3, the only one with public addresses, that tunnel to IPv4 or are not public:
    /// Teredo and its neighbours, documentation, 6to4, documentation again.
    private static let privateNetworks6: [Network] = [
        (0x2001_0000, 23), (0x2001_0DB8, 32), (0x2002_0000, 16), (0x3FFF_0000, 20),
    ]

    /// The first four bytes of fe80::/10 (link-local), ff00::/8 (multicast) and fd00:ec2::/32 (Amazon's metadata).
    private static let closedNetworks6: [Network] = [
        (0xFE80_0000, 10), (0xFF00_0000, 8), (0xFD00_0EC2, 32),
    ]

    /// What a connection to this address needs; anything that is no IP address, a unix socket for instance, is never opened.
    static func permission(_ address: UnsafePointer<sockaddr>) -> AddressPermission {
        let bytes = UnsafeRawPointer(address)
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
            return permission(UInt32(bigEndian: bytes.loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr))
        case AF_INET6:
            return permission(bytes.loadUnaligned(as: sockaddr_in6.self).sin6_addr)
        default:
            return .neverGiven
        }
    }

    private static func permission(_ address: UInt32) -> AddressPermission {
        if contains(closedNetworks, address) { return .neverGiven }
        return contains(privateNetworks, address) ? .needed : .notNeeded
    }

    private static func permission(_ address: in6_addr) -> AddressPermission {
        let words = withUnsafeBytes(of: address) { bytes in
            (0..<4).map { UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)) }
        }
        switch (words[0], words[1], words[2]) {
        case (0, 0, 0xFFFF):
            // ::ffff:0:0/96 is IPv4 in another spelling.
            return permission(words[3])
        case (0x0064_FF9B, 0, 0):
            // 64:ff9b::/96 is IPv4 behind the network's translator, which may well reach what is private there.
            return permission(words[3]) == .neverGiven ? .neverGiven : .needed
        default:
            if contains(closedNetworks6, words[0]) { return .neverGiven }
            // Everything public lies in 2000::/3: ::, ::1, 64:ff9b:1::/48, 100::/64, 5f00::/16, fc00::/7 and fec0::/10 are outside.
            let isGlobal = words[0] >> 29 == 0b001
            return isGlobal && !contains(privateNetworks6, words[0]) ? .notNeeded : .needed
        }
    }

    private static func contains(_ networks: [Network], _ address: UInt32) -> Bool {
        networks.contains { address >> (32 - $0.prefixBits) == $0.prefix >> (32 - $0.prefixBits) }
    }

    /// The address in digits.
    static func text(_ address: UnsafePointer<sockaddr>, length: socklen_t) -> String {
        var digits = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        guard
            getnameinfo(address, length, &digits, socklen_t(digits.count), nil, 0, NI_NUMERICHOST) == 0
        else { return "family \(address.pointee.sa_family)" }
        return String(decoding: digits.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
