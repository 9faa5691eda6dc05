package import Core
package import Postgres

/// Changes the catalogue; what operators do.
///
/// Every running process learns of it by a notification.
package struct CatalogEditor: Sendable {
    let database: PostgresPool
    private let seal: CredentialSeal

    /// Creates an editor.
    package init(database: PostgresPool, pepper: Pepper) {
        self.database = database
        seal = CredentialSeal(pepper: pepper)
    }

    /// What adding something came to.
    package enum Addition: Sendable, Equatable {
        case added
        case alreadyThere
        case unknownProvider
    }

    /// Adds a provider with its credential.
    package func addProvider(
        name: String, baseURL: String, credential: String, allowsPrivateAddresses: Bool
    ) throws(PostgresError) -> Addition {
        let sealed = sealed(credential, provider: name)
        let transaction = try database.begin()
        let rows = try transaction.query(
            CatalogStatements.insertProvider, [.text(name), .text(baseURL), .bool(allowsPrivateAddresses)])
        guard rows.count == 1 else { return .alreadyThere }
        _ = try transaction.query(CatalogStatements.insertCredential, [.text(name), .bytes(sealed)])
        try transaction.commit()
        return .added
    }

    func sealed(_ credential: String, provider: String) -> [UInt8] {
        guard let sealed = seal.seal(credential, provider: provider) else {
            preconditionFailure("sealing never fails")
        }
        return sealed
    }

    /// Adds a model at a provider.
    package func addModel(
        _ model: String, provider: String, upstreamModel: String, priority: Int, weight: Int,
        outputTokensMax: Int,
        bytesPerToken: Int, outputCapField: String
    ) throws(PostgresError) -> Addition {
        let known = try database.query(CatalogStatements.providerExists, [.text(provider)])
        guard known.bool(0, 0) else { return .unknownProvider }
        let rows = try database.query(
            CatalogStatements.insertProviderModel,
            [
                .text(model), .text(provider), .text(upstreamModel), .int(Int64(priority)),
                .int(Int64(weight)),
                .int(Int64(outputTokensMax)), .int(Int64(bytesPerToken)), .text(outputCapField),
            ])
        return rows.count == 1 ? .added : .alreadyThere
    }

    /// Publishes a price and returns its version; nil when the named provider is unknown.
    package func publish(
        _ rates: Price.Rates, perRequest: Money, model: String, provider: String?
    ) throws(PostgresError) -> Int64? {
        if let provider {
            let known = try database.query(CatalogStatements.providerExists, [.text(provider)])
            guard known.bool(0, 0) else { return nil }
        }
        let values = [
            rates.input, rates.cachedInput, rates.cacheWrite, rates.cacheWriteHour, rates.output,
            rates.reasoning,
            rates.audioInput, rates.audioOutput, perRequest.nanodollars,
        ]
        let rows = try database.query(
            CatalogStatements.insertPrice,
            [.text(model), .text(orNull: provider)] + values.map { PostgresValue.int($0) })
        return rows.int(0, 0)
    }
}
