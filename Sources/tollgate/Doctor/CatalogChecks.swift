import Catalog
import Core
import Gateway
import HTTPClient
import Postgres
import Tenancy
import Threads

/// What the catalogue offers, and whether its providers can be reached.
struct CatalogChecks {
    private let stores: StoreChecks
    private static let lookupSeconds = 10

    init(_ stores: StoreChecks) {
        self.stores = stores
    }

    func findings() -> [Finding] {
        do throws(PostgresError) {
            let database = stores.money.database
            let providers = try CatalogListing.providers(database)
            return [
                models(try CatalogListing.models(database, of: nil)), try credentials(),
                try timeZones(database),
            ] + addresses(providers)
        } catch {
            // What is wrong with PostgreSQL has been said.
            return [.warn("catalogue", "not looked at", "mend what is wrong with PostgreSQL")]
        }
    }

    private func models(_ models: [ListedModel]) -> Finding {
        let unpriced = Set(models.filter { $0.price == nil }.map(\.model)).sorted()
        let names = Set(models.filter { $0.price != nil }.map(\.model))
        guard !names.isEmpty else {
            return .fail(
                "catalogue", "no model has a price: every request is refused",
                "tollgate provider add, model add, price set")
        }
        guard unpriced.isEmpty else {
            return .warn(
                "catalogue", "without a price, hence refused: \(unpriced.joined(separator: ", "))",
                "tollgate price set \(unpriced[0]) --input USD --output USD")
        }
        return .ok("catalogue", "\(names.count) models with prices")
    }

    private func credentials() throws(PostgresError) -> Finding {
        let reader = CatalogReader(database: stores.money.database, pepper: stores.configuration.pepper)
        let sealed = try reader.reload().sorted()
        guard let first = sealed.first else { return .ok("credentials", "can be opened with this pepper") }
        return .fail(
            "credentials", "cannot be opened with this pepper: \(sealed.joined(separator: ", "))",
            "use the pepper they were added with, or tollgate provider set \(first) --credential -")
    }

    private func timeZones(_ database: PostgresPool) throws(PostgresError) -> Finding {
        let register = TenantRegister(database: database)
        var unknown: Set<String> = []
        var page: [(tenant: Tenant, createdAt: String)]
        var last = ""
        repeat {
            page = try register.tenants(after: last, countMax: 10_000)
            unknown.formUnion(page.map(\.tenant.timeZone).filter { !TimeZones.isKnown($0) })
            last = page.last?.tenant.id.description ?? last
        } while page.count == 10_000
        let advice = "apt-get install tzdata"
        if !unknown.isEmpty {
            return .fail(
                "tzdata",
                "tenants' time zones are not known here: \(unknown.sorted().joined(separator: ", "))",
                advice)
        }
        guard TimeZones.isKnown("America/New_York") else {
            return .warn("tzdata", "this machine knows no time zones", advice)
        }
        return .ok("tzdata", "time zones are known")
    }

    // MARK: - Addresses

    /// One lookup on a thread of its own, because a name server may not answer for long.
    private final class Lookup: Sendable {
        let done = Signal()
        let result = Locked<Result<[HostAddresses.Entry], HTTPClientError>?>(nil)
    }

    private func addresses(_ providers: [ListedProvider]) -> [Finding] {
        let used = providers.filter { !$0.models.isEmpty }
        let deadline = Deadline.after(seconds: Self.lookupSeconds)
        let lookups = used.map { provider in
            let lookup = Lookup()
            let url = provider.baseURL
            // Without a thread there is no answer, which is said like any other missing answer.
            let thread = try? WorkerThread(name: "lookup", isDetached: true) {
                let found: Result<[HostAddresses.Entry], HTTPClientError>
                do throws(HTTPClientError) { found = .success(try HostAddresses.of(url: url)) } catch {
                    found = .failure(error)
                }
                lookup.result.withLock { $0 = found }
                lookup.done.wake()
            }
            return thread == nil ? nil : lookup
        }
        let findings = zip(used, lookups).compactMap { provider, lookup in
            _ = lookup?.done.wait(until: deadline)
            return finding(provider, lookup?.result.withLock { $0 } ?? .failure(.timeout(.connect)))
        }
        return findings.isEmpty
            ? [.ok("providers", "\(used.count) have addresses that may be used")] : findings
    }

    /// What is wrong with a provider's addresses; nil when nothing is.
    private func finding(
        _ provider: ListedProvider, _ found: Result<[HostAddresses.Entry], HTTPClientError>
    ) -> Finding? {
        let name = "provider \(provider.name)"
        let entries: [HostAddresses.Entry]
        switch found {
        case .success(let list): entries = list
        case .failure(.timeout):
            return .fail(name, "\(provider.baseURL): no name server answers", "look at /etc/resolv.conf")
        case .failure(let error):
            return .fail(
                name, "\(provider.baseURL) does not resolve: \(error)",
                "correct it with tollgate provider set \(provider.name) --url URL")
        }
        let isPublic = entries.contains { $0.permission == .notNeeded }
        let known = entries.map(\.address).joined(separator: ", ")
        if !isPublic, !entries.contains(where: { $0.permission == .needed }) {
            return .fail(
                name, "\(known) is never connected to",
                "correct it with tollgate provider set \(provider.name) --url URL")
        }
        if !isPublic, !provider.allowsPrivateAddresses {
            return .fail(
                name, "\(known) is private, and that is not allowed for it",
                "if it should be: tollgate provider set \(provider.name) --allow-private-addresses")
        }
        if isPublic, provider.allowsPrivateAddresses {
            return .warn(
                name, "\(known) is public, and private addresses are allowed besides",
                "tollgate provider set \(provider.name) --no-allow-private-addresses")
        }
        if isPublic, provider.baseURL.hasPrefix("http://") {
            return .warn(
                name,
                "\(provider.baseURL) is not encrypted: prompts and the credential can be read on the way",
                "tollgate provider set \(provider.name) --url https://…")
        }
        return nil
    }
}
