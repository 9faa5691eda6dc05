package import Core

/// The Redis keys of one tenant.
///
/// All carry its name between braces, so that one script touches one Cluster slot.
package struct QuotaKeys: Sendable {
    /// The hash with balance, limits and counters.
    package let tenant: String
    /// The hash of holds by trace.
    package let holds: String
    /// The lease on rebuilding the image.
    package let warm: String

    /// The keys of a tenant.
    package init(_ tenant: TenantID) {
        self.tenant = "gw:quota:tenant:{\(tenant)}"
        holds = "gw:quota:holds:{\(tenant)}"
        warm = "gw:quota:warm:{\(tenant)}"
    }

    /// The tenant in a key of holds as SCAN returns it; nil when it is another kind of key.
    package static func tenant(ofHoldsKey key: String) -> TenantID? {
        let prefix = "gw:quota:holds:{"
        guard key.hasPrefix(prefix), key.hasSuffix("}") else { return nil }
        return TenantID(String(key.dropFirst(prefix.count).dropLast()))
    }
}
