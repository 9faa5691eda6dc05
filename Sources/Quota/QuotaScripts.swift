import Redis

/// The Lua scripts of this target, each a file of its own under `Lua`.
enum QuotaScripts {
    static let deduct = RedisScript(name: "quota_deduct", source: PackageResources.quota_deduct_lua)
    static let extend = RedisScript(name: "quota_extend", source: PackageResources.quota_extend_lua)
    static let settle = RedisScript(name: "quota_settle", source: PackageResources.quota_settle_lua)
    static let install = RedisScript(name: "quota_install", source: PackageResources.quota_install_lua)
    static let drop = RedisScript(name: "quota_drop", source: PackageResources.quota_drop_lua)
    static let credit = RedisScript(name: "quota_credit", source: PackageResources.quota_credit_lua)
    static let read = RedisScript(
        name: "quota_read", source: PackageResources.quota_read_lua, isReadOnly: true)
    static let lease = RedisScript(name: "quota_lease", source: PackageResources.quota_lease_lua)
}
