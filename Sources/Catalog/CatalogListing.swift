package import Core
package import Postgres

/// What stands in the catalogue, for people and admin programs; no secret is in it.
package enum CatalogListing {
    /// Every provider, by name.
    package static func providers(_ database: PostgresPool) throws(PostgresError) -> [ListedProvider] {
        let rows = try database.query(CatalogStatements.listProviders, [])
        return (0..<rows.count).map { row in
            ListedProvider(
                name: rows.text(row, 0), baseURL: rows.text(row, 1),
                allowsPrivateAddresses: rows.bool(row, 2),
                models: rows.text(row, 3).split(separator: "\n").map { String($0) },
                createdAt: rows.text(row, 4)
            )
        }
    }

    /// Every provider model with its price, by model and priority; only one provider's when it is named.
    package static func models(
        _ database: PostgresPool, of provider: String?
    ) throws(PostgresError) -> [ListedModel] {
        let rows = try database.query(CatalogStatements.listModels, [.text(orNull: provider)])
        return (0..<rows.count).map { row in
            let price = rows.optionalInt(row, 9).map { version in
                ListedModel.Price(
                    version: version, input: Money(nanodollars: rows.int(row, 10)),
                    cachedInput: Money(nanodollars: rows.int(row, 11)),
                    output: Money(nanodollars: rows.int(row, 12)),
                    reasoning: Money(nanodollars: rows.int(row, 13)),
                    perRequest: Money(nanodollars: rows.int(row, 14)))
            }
            return ListedModel(
                model: rows.text(row, 0), provider: rows.text(row, 1), upstreamModel: rows.text(row, 2),
                priority: rows.int(row, 3), weight: rows.int(row, 4), outputTokensMax: rows.int(row, 5),
                bytesPerToken: rows.int(row, 6), outputCapField: rows.text(row, 7),
                createdAt: rows.text(row, 8),
                price: price)
        }
    }
}

/// A provider as it is shown.
package struct ListedProvider: Sendable, Equatable {
    /// Its name.
    package let name: String
    /// Where its API begins.
    package let baseURL: String
    /// Whether its address may be private.
    package let allowsPrivateAddresses: Bool
    /// What it serves: the names that clients use.
    package let models: [String]
    /// When it was added: UTC, ISO 8601.
    package let createdAt: String
}

/// A model at a provider as it is shown.
package struct ListedModel: Sendable, Equatable {
    /// A price for people: dollars per million tokens, and for a whole request.
    package struct Price: Sendable, Equatable {
        /// Which version is in force.
        package let version: Int64
        /// Prompt tokens.
        package let input: Money
        /// Prompt tokens from the provider's cache.
        package let cachedInput: Money
        /// Answer tokens.
        package let output: Money
        /// Reasoning tokens.
        package let reasoning: Money
        /// Each request.
        package let perRequest: Money
    }

    /// The name clients use.
    package let model: String
    /// Who serves it.
    package let provider: String
    /// The name the provider uses.
    package let upstreamModel: String
    /// Lower is tried first.
    package let priority: Int64
    /// Its share among those of equal priority.
    package let weight: Int64
    /// The most tokens one answer may have.
    package let outputTokensMax: Int64
    /// Bytes that make at least one prompt token.
    package let bytesPerToken: Int64
    /// The field in which the provider takes the output cap.
    package let outputCapField: String
    /// When it was added: UTC, ISO 8601.
    package let createdAt: String
    /// What it costs; nil when it has no price and is refused.
    package let price: Price?
}
