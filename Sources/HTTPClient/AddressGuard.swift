import Glibc

/// Tells public addresses from those an outside party must not make this process connect to.
///
/// It sees the address that is about to be connected to, not the name, so a name that resolves to another address the second
/// time (DNS rebinding) gains nothing.
enum AddressGuard {
    /// Private, local, shared, documentation, benchmark, multicast and reserved networks: (network, length of the prefix).
    private static let blockedNetworks: [(network: UInt32, prefixBits: UInt32)] = [
        (0x0000_0000, 8), (0x0A00_0000, 8), (0x6440_0000, 10), (0x7F00_0000, 8), (0xA9FE_0000, 16),
        (0xAC10_0000, 12), (0xC000_0000, 24), (0xC000_0200, 24), (0xC058_6300, 24), (0xC0A8_0000, 16),
        (0xC612_0000, 15), (0xC633_6400, 24), (0xCB00_7100, 24), (0xE000_0000, 4), (0xF000_0000, 4),
    ]

    /// Networks inside 2000::/3, the only one with public addresses, that tunnel to IPv4 or are not public.
    ///
    /// The first four bytes and the length of the prefix: Teredo and its neighbours, documentation, 6to4, documentation again.
    private static let blockedNetworks6: [(network: UInt32, prefixBits: UInt32)] = [
        (0x2001_0000, 23), (0x2001_0DB8, 32), (0x2002_0000, 16), (0x3FFF_0000, 20),
    ]

    /// Whether a connection to this address may be opened without special permission.
    static func isPublic(_ address: UnsafePointer<sockaddr>) -> Bool {
        let bytes = UnsafeRawPointer(address)
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
            return isPublic(UInt32(bigEndian: bytes.loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr))
        case AF_INET6:
            return isPublic(bytes.loadUnaligned(as: sockaddr_in6.self).sin6_addr)
        default:
            return false
        }
    }

    private static func isPublic(_ address: UInt32) -> Bool {
        !blockedNetworks.contains { address >> (32 - $0.prefixBits) == $0.network >> (32 - $0.prefixBits) }
    }

    private static func isPublic(_ address: in6_addr) -> Bool {
        let words = withUnsafeBytes(of: address) { bytes in
            (0..<4).map { UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)) }
        }
        if words[0] == 0, words[1] == 0, words[2] == 0xFFFF {
            return isPublic(words[3])
        }
        // Everything public lies in 2000::/3: ::1, 64:ff9b::/96, fc00::/7, fe80::/10 and ff00::/8 are all outside.
        guard words[0] >> 29 == 0b001 else { return false }
        return !blockedNetworks6.contains {
            words[0] >> (32 - $0.prefixBits) == $0.network >> (32 - $0.prefixBits)
        }
    }
}
