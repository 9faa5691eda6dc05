import Postgres

/// This target's SQL, each statement a file of its own under `SQL`.
enum TenancyStatements {
    static let readKey = Statement(name: "read_key", sql: PackageResources.read_key_sql)
    static let insertKey = Statement(name: "insert_key", sql: PackageResources.insert_key_sql)
    static let revokeKey = Statement(name: "revoke_key", sql: PackageResources.revoke_key_sql)
    static let listKeys = Statement(name: "list_keys", sql: PackageResources.list_keys_sql)
    static let insertTenant = Statement(name: "insert_tenant", sql: PackageResources.insert_tenant_sql)
    static let setTenant = Statement(name: "set_tenant", sql: PackageResources.set_tenant_sql)
    static let setBudget = Statement(name: "set_budget", sql: PackageResources.set_budget_sql)
    static let readTenant = Statement(name: "read_tenant", sql: PackageResources.read_tenant_sql)
    static let listTenants = Statement(name: "list_tenants", sql: PackageResources.list_tenants_sql)
    static let insertAdminToken = Statement(
        name: "insert_admin_token", sql: PackageResources.insert_admin_token_sql)
    static let readAdminToken = Statement(
        name: "read_admin_token", sql: PackageResources.read_admin_token_sql)
}
