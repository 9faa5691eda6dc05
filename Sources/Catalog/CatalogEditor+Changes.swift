package import Postgres

/// Changes and removals.
///
/// Requests that run go on with what they began with, and the ledger keeps what it says of a provider or model that is gone. Prices
/// stay, because the ledger refers to their versions: what is added again under the same name has them again.
extension CatalogEditor {
    /// What removing a provider came to.
    package enum ProviderRemoval: Sendable, Equatable {
        /// It is gone, with these models.
        case removed(models: [String])
        /// It serves these models, and nothing was removed.
        case servesModels([String])
        case unknownProvider
    }

    /// Changes what is given of a provider, and forgets the credential that a new one replaces.
    ///
    /// - Returns: The provider's address and whether it may be private; nil when there is no such provider.
    package func setProvider(
        _ name: String, baseURL: String?, credential: String?, allowsPrivateAddresses: Bool?
    ) throws(PostgresError) -> (baseURL: String, allowsPrivateAddresses: Bool)? {
        let transaction = try database.begin()
        let rows = try transaction.query(
            CatalogStatements.setProvider,
            [.text(name), .text(orNull: baseURL), allowsPrivateAddresses.map { .bool($0) } ?? .null])
        guard rows.count == 1 else { return nil }
        if let credential {
            _ = try transaction.query(CatalogStatements.deleteCredentials, [.text(name)])
            _ = try transaction.query(
                CatalogStatements.insertCredential, [.text(name), .bytes(sealed(credential, provider: name))])
        }
        try transaction.commit()
        return (rows.text(0, 0), rows.bool(0, 1))
    }

    /// Removes a provider and its credential; one that serves models only together with them.
    package func removeProvider(_ name: String, withModels: Bool) throws(PostgresError) -> ProviderRemoval {
        let transaction = try database.begin()
        guard try transaction.query(CatalogStatements.lockProvider, [.text(name)]).count == 1 else {
            return .unknownProvider
        }
        let rows = try transaction.query(CatalogStatements.modelsOfProvider, [.text(name)])
        let models = (0..<rows.count).map { rows.text($0, 0) }
        guard withModels || models.isEmpty else { return .servesModels(models) }
        _ = try transaction.query(CatalogStatements.deleteModels, [.null, .text(name)])
        _ = try transaction.query(CatalogStatements.deleteCredentials, [.text(name)])
        _ = try transaction.query(CatalogStatements.deleteProvider, [.text(name)])
        try transaction.commit()
        return .removed(models: models)
    }

    /// Removes a model at one provider, or at all of them, and returns the providers that served it.
    package func removeModel(_ model: String, provider: String?) throws(PostgresError) -> [String] {
        let rows = try database.query(
            CatalogStatements.deleteModels, [.text(model), .text(orNull: provider)])
        return Set((0..<rows.count).map { rows.text($0, 0) }).sorted()
    }
}
