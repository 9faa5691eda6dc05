package import Core

/// The Redis keys of one tenant.
///
/// All carry its name between braces, so that one script touches one Cluster slot.
package struct QuotaKeys: Sendable {
    private let name: TenantID

    /// The keys of a tenant.
    package init(_ tenant: TenantID) {
        name = tenant
    }

    /// The set of tenants whose images have changed, which belongs to no tenant.
    package static let dirty = "gw:quota:dirty"

    /// The channel on which the hash of each tenant is told whose money somebody waits for, when some of it becomes free.
    static let settled = "gw:quota:settled"

    /// The hash with balance, limits and counters.
    package var tenant: String { "gw:quota:tenant:{\(name)}" }
    /// The hash of holds by trace.
    package var holds: String { "gw:quota:holds:{\(name)}" }
    /// The lease on rebuilding the image.
    package var warm: String { "gw:quota:warm:{\(name)}" }

    /// The hash with the budget of an API key.
    package func budget(of key: APIKeyID) -> String { budget(of: key.description) }

    /// The hash with the budget of the API key of that name.
    package func budget(of key: String) -> String { "gw:quota:apikey:{\(name)}:\(key)" }

    /// The tenant of a hash with balance, limits and counters; nil when it is another kind of key.
    static func tenant(ofTenantKey key: String) -> TenantID? {
        tenant(of: key, after: "gw:quota:tenant:{")
    }

    /// The tenant in a key of holds as SCAN returns it; nil when it is another kind of key.
    package static func tenant(ofHoldsKey key: String) -> TenantID? {
        tenant(of: key, after: "gw:quota:holds:{")
    }

    private static func tenant(of key: String, after prefix: String) -> TenantID? {
        guard key.hasPrefix(prefix), key.hasSuffix("}") else { return nil }
        return TenantID(String(key.dropFirst(prefix.count).dropLast()))
    }
}
