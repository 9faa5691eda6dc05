import Catalog
import Core
import Gateway
import TestSupport
import TestTools
import Testing

/// Models that a test adds to a running gateway.
enum EndpointsCatalog {
    /// Adds a provider at a port of this machine.
    static func addProvider(_ name: String, port: UInt16, at gateway: TestGateway) throws {
        let addition = try editor(gateway).addProvider(
            name: name, baseURL: "http://127.0.0.1:\(port)/v1", credential: "provider-secret",
            allowsPrivateAddresses: true)
        #expect(addition == .added)
    }

    /// Adds a priced model, by default at the simulated provider, and waits until the gateway serves it.
    static func add(
        _ model: String, provider: String = "simulator", upstreamModel: String,
        priority: Int = 100, rates: Price.Rates? = TestGateway.rates, at gateway: TestGateway
    ) throws {
        let editor = editor(gateway)
        let addition = try editor.addModel(
            model, provider: provider, upstreamModel: upstreamModel, priority: priority, weight: 1,
            outputTokensMax: 4_096, bytesPerToken: 1, outputCapField: "max_tokens")
        #expect(addition == .added)
        guard let rates else { return }
        _ = try editor.publish(rates, perRequest: .zero, model: model, provider: nil)
        let caller = try EndpointsCaller("catalog", at: gateway)
        let isServed = try Eventually.holds {
            try TestHTTP.get(gateway.url + "/v1/models/" + model, key: caller.key).status == 200
        }
        try #require(isServed, "the gateway does not learn of \(model)")
    }

    private static func editor(_ gateway: TestGateway) -> CatalogEditor {
        CatalogEditor(
            database: gateway.stores.money.database, pepper: gateway.stores.configuration.pepper)
    }
}
