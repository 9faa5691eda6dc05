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
    static let listProviders = Statement(name: "list_providers", sql: PackageResources.list_providers_sql)
    static let listModels = Statement(name: "list_models", sql: PackageResources.list_models_sql)
    static let lockProvider = Statement(name: "lock_provider", sql: PackageResources.lock_provider_sql)
    static let modelsOfProvider = Statement(
        name: "models_of_provider", sql: PackageResources.models_of_provider_sql)
    static let setProvider = Statement(name: "set_provider", sql: PackageResources.set_provider_sql)
    static let deleteCredentials = Statement(
        name: "delete_credentials", sql: PackageResources.delete_credentials_sql)
    static let deleteModels = Statement(name: "delete_models", sql: PackageResources.delete_models_sql)
    static let deleteProvider = Statement(name: "delete_provider", sql: PackageResources.delete_provider_sql)
    static let insertPrice = Statement(name: "insert_price", sql: PackageResources.insert_price_sql)
}
