import Postgres

/// This target's SQL, each statement a file of its own under `SQL`.
enum CatalogStatements {
    static let readCatalog = Statement(name: "read_catalog", sql: PackageResources.read_catalog_sql)
    static let insertProvider = Statement(name: "insert_provider", sql: PackageResources.insert_provider_sql)
    static let insertCredential = Statement(
        name: "insert_credential", sql: PackageResources.insert_credential_sql)
    static let insertProviderModel = Statement(
        name: "insert_provider_model", sql: PackageResources.insert_provider_model_sql)
    static let providerExists = Statement(name: "provider_exists", sql: PackageResources.provider_exists_sql)
    static let insertPrice = Statement(name: "insert_price", sql: PackageResources.insert_price_sql)
}
