package import Core
package import Postgres
import Threads

/// Who serves which model, at what price, as of one moment.
///
/// Immutable.
package final class CatalogSnapshot: Sendable {
    /// The provider models of each model, by priority.
    package let models: [String: [ProviderModel]]

    /// Creates a snapshot.
    package init(models: [String: [ProviderModel]]) {
        self.models = models
    }
}

/// The catalogue in force; readers get the whole of one moment.
package final class CatalogReader: Sendable {
    private let database: PostgresPool
    private let seal: CredentialSeal
    private let state = Locked(State())

    private struct State {
        var snapshot = CatalogSnapshot(models: [:])
        /// Of reads that overlap, the one that began last is kept.
        var begun = 0
        var kept = 0
    }

    /// Creates a reader with an empty catalogue; call ``reload()`` before use.
    package init(database: PostgresPool, pepper: Pepper) {
        self.database = database
        seal = CredentialSeal(pepper: pepper)
    }

    /// The catalogue in force.
    package var current: CatalogSnapshot { state.withLock { $0.snapshot } }

    /// Reads the catalogue anew.
    ///
    /// - Returns: The providers whose credential cannot be opened with this installation's pepper; their models are left out.
    package func reload() throws(PostgresError) -> Set<String> {
        let ticket = state.withLock { state in
            state.begun += 1
            return state.begun
        }
        let rows = try database.query(CatalogStatements.readCatalog, [])
        var models: [String: [ProviderModel]] = [:]
        var unreadable: Set<String> = []
        for row in 0..<rows.count {
            let providerName = rows.text(row, 8)
            guard let credential = seal.open(rows.optionalBytes(row, 11) ?? [], provider: providerName) else {
                unreadable.insert(providerName)
                continue
            }
            let provider = Provider(
                name: providerName, baseURL: rows.text(row, 9), credential: credential,
                allowsPrivateAddresses: rows.bool(row, 10))
            let model = rows.text(row, 1)
            models[model, default: []].append(
                ProviderModel(
                    id: rows.int(row, 0), model: model, provider: provider, upstreamModel: rows.text(row, 2),
                    priority: Int32(rows.int(row, 3)), weight: Int32(rows.int(row, 4)),
                    outputTokensMax: rows.int(row, 5), bytesPerToken: rows.int(row, 6),
                    outputCapField: rows.text(row, 7), price: CatalogReader.price(rows, row)))
        }
        let read = CatalogSnapshot(models: models)
        state.withLock { state in
            guard ticket > state.kept else { return }
            state.kept = ticket
            state.snapshot = read
        }
        return unreadable
    }

    private static func price(_ rows: borrowing Rows, _ row: Int) -> Price? {
        guard let version = rows.optionalInt(row, 12) else { return nil }
        return Price(
            version: version,
            rates: Price.Rates(
                input: rows.int(row, 13), output: rows.int(row, 17), cachedInput: rows.int(row, 14),
                cacheWrite: rows.int(row, 15), cacheWriteHour: rows.int(row, 16),
                reasoning: rows.int(row, 18),
                audioInput: rows.int(row, 19), audioOutput: rows.int(row, 20)),
            perRequest: Money(nanodollars: rows.int(row, 21)))
    }
}
