import Core
import Foundation
import Ledger
import ProviderSimulator
import TestSupport
import TestTools
import Testing

/// Lists of what an installation has, and removals, against a running gateway.
@Suite struct CatalogCommandTests: CommandTests {
    let gateway: TestGateway

    init() throws {
        gateway = try EndpointsGateway.shared()
    }

    private func rows(_ arguments: [String]) throws -> [[String: Any]] {
        try #require(try json(arguments)["data"] as? [[String: Any]])
    }

    // MARK: - Lists

    @Test func `keys are listed by age with what became of them, and never with their secrets`() throws {
        let caller = try EndpointsCaller("cli-keys", at: gateway)
        let tenant = caller.tenant.description
        let made = try json([
            "key", "create", "--tenant", tenant, "--name", "two\nlines", "--model", "sim-ok", "--model",
            "sim-slow",
        ])
        let id = try #require(made["id"] as? String)
        let secret = try #require(made["key"] as? String)
        try expect(0, "Revoked", "key", "revoke", id)
        let keys = try rows(["key", "list", "--tenant", tenant])
        #expect(keys.map { $0["status"] as? String } == ["active", "revoked"])
        #expect(keys.map { $0["name"] as? String } == ["test", "two\nlines"])
        #expect(keys.last?["id"] as? String == id)
        #expect(keys.first?["models"] is NSNull)
        #expect(keys.last?["models"] as? [String] == ["sim-ok", "sim-slow"])
        #expect(keys.first?["revoked_at"] is NSNull && keys.last?["revoked_at"] is String)
        let first = try #require(keys.first?["id"] as? String)
        #expect(try rows(["key", "list", "--tenant", tenant, "--after", first]).count == 1)
        #expect(try rows(["key", "list", "--tenant", tenant, "--limit", "1"]).count == 1)
        #expect(try rows(["key", "list", "--limit", "10000"]).contains { $0["id"] as? String == id })
        for format in [["--json"], []] {
            let shown = try TestCommand.run(
                ["key", "list", "--limit", "10000"] + format, environment: environment
            ).output
            for text in [secret, caller.key] {
                let hidden = try #require(text.split(separator: "_").last)
                #expect(shown.contains(id) && !shown.contains(hidden))
            }
        }
        // A name is data: it does not end a table's row.
        try expect(0, "two?lines", "key", "list", "--tenant", tenant)
        try expect(3, "there is no tenant 'nobody'", "key", "list", "--tenant", "nobody")
        try expect(64, "--after", "key", "list", "--after", "no_id")
    }

    @Test func `providers and models are listed, and no credential with them`() throws {
        let name = name("cli-listed")
        let url = "http://127.0.0.1:\(gateway.provider.port)/v1"
        try expect(
            0, "Added provider", "provider", "add", name, "--url", url, "--credential", "sk-very-secret",
            "--allow-private-addresses")
        try expect(0, "Added model", "model", "add", name, "--provider", name, "--upstream-model", "sim-ok")
        let unpriced = try #require(try rows(["model", "list", "--provider", name]).first)
        #expect(unpriced["input"] is NSNull && unpriced["price_version"] is NSNull)
        try expect(0, "no price", "model", "list", "--provider", name)
        try expect(
            0, "Published", "price", "set", name, "--input", "1.5", "--output", "6", "--provider", name)
        let model = try #require(try rows(["model", "list"]).first { $0["model"] as? String == name })
        #expect(model["provider"] as? String == name && model["upstream_model"] as? String == "sim-ok")
        #expect(model["input"] as? String == "1.500000000" && model["output"] as? String == "6.000000000")
        #expect(model["priority"] as? Int == 100 && model["output_tokens_max"] as? Int == 4_096)
        try expect(0, "$1.500000000", "model", "list", "--provider", name)
        let provider = try #require(try rows(["provider", "list"]).first { $0["name"] as? String == name })
        #expect(provider["url"] as? String == url && provider["models"] as? [String] == [name])
        #expect(provider["allow_private_addresses"] as? Bool == true)
        for arguments in [
            ["provider", "list"], ["provider", "list", "--json"], ["model", "list", "--json"],
        ] {
            let shown = try TestCommand.run(arguments, environment: environment)
            #expect(shown.status == 0 && shown.output.contains(name))
            #expect(!shown.output.contains("very-secret"))
        }
    }

    // MARK: - Changes

    @Test func `a provider is changed while requests go on`() throws {
        let name = name("cli-set")
        try expect(
            0, "Added", "provider", "add", name, "--url", "http://127.0.0.1:1/v1", "--credential", "one",
            "--allow-private-addresses")
        try EndpointsCatalog.add(name, provider: name, upstreamModel: "sim-ok", at: gateway)
        let caller = try EndpointsCaller("cli-set", at: gateway)
        #expect(try status(key: caller.key, name) == 502)
        let url = "http://127.0.0.1:\(gateway.provider.port)/v1"
        let changed = try json(["provider", "set", name, "--url", url + "/", "--credential", "two"])
        #expect(changed["url"] as? String == url && changed["credential_replaced"] as? Bool == true)
        #expect(changed["allow_private_addresses"] as? Bool == true)
        #expect(try Eventually.holds { try status(key: caller.key, name) == 200 })
        try expect(64, "nothing to change", "provider", "set", name)
        try expect(64, "--url", "provider", "set", name, "--url", "file:///etc/passwd")
        try expect(3, "there is no provider", "provider", "set", "nobody", "--allow-private-addresses")
    }

    // MARK: - Removals

    @Test func `a removed model is unknown within a second, and a request that runs ends and is charged`()
        throws
    {
        let scene = try StreamingScene("cli-gone")
        let running = try scene.ask()
        let call = try scene.provider.call()
        call.begin()
        let gone = try json(["model", "remove", scene.model])
        #expect((gone["providers"] as? [String])?.count == 1)
        // A second, and as much again for a busy machine.
        let isUnknown = try Eventually.holds(seconds: 2) {
            let url = gateway.url + "/v1/models/" + scene.model
            return try TestHTTP.get(url, key: scene.caller.key).status == 404
        }
        #expect(isUnknown)
        #expect(try scene.caller.chat(scene.model).status == 404)
        call.piece("one")
        call.stop()
        call.usage(prompt: 4, completion: 1)
        call.end()
        #expect(running.readsToEnd())
        let row = try scene.caller.settledRow()
        #expect(row.status == "committed" && row.model == scene.model && row.usageSource == "provider")
        #expect(row.charge.nanodollars == 4 * 10_000 + 30_000)
        // What was billed is still told.
        try expect(0, scene.model, "transactions", "list", "--tenant", scene.caller.tenant.description)
        try expect(3, "there is no model", "model", "remove", scene.model)
    }

    @Test func `a model is removed at one of its providers and served by the other`() throws {
        let model = name("cli-two")
        let (here, nowhere) = (name("cli-here"), name("cli-nowhere"))
        try EndpointsCatalog.addProvider(here, port: gateway.provider.port, at: gateway)
        try EndpointsCatalog.addProvider(nowhere, port: 1, at: gateway)
        try EndpointsCatalog.add(model, provider: here, upstreamModel: "sim-ok", at: gateway)
        try EndpointsCatalog.add(model, provider: nowhere, upstreamModel: "sim-ok", priority: 1, at: gateway)
        try expect(
            0, "Removed model \(model) at \(nowhere)", "model", "remove", model, "--provider", nowhere)
        #expect(try rows(["model", "list", "--provider", nowhere]).isEmpty)
        let caller = try EndpointsCaller("cli-two", at: gateway)
        #expect(try status(key: caller.key, model) == 200)
        try expect(3, "at '\(nowhere)'", "model", "remove", model, "--provider", nowhere)
    }

    @Test func `a provider that serves models is not removed without them, and its history stays`() throws {
        let name = name("cli-removed")
        try EndpointsCatalog.addProvider(name, port: gateway.provider.port, at: gateway)
        try EndpointsCatalog.add(name, provider: name, upstreamModel: "sim-ok", at: gateway)
        try expect(0, "Published", "price", "set", name, "--provider", name, "--input", "1", "--output", "2")
        let caller = try EndpointsCaller("cli-removed", at: gateway)
        #expect(try status(key: caller.key, name) == 200)
        try expect(4, "provider '\(name)' serves \(name): remove these first", "provider", "remove", name)
        #expect(try status(key: caller.key, name) == 200)
        let gone = try json(["provider", "remove", name, "--with-models"])
        #expect(gone["models"] as? [String] == [name])
        #expect(try Eventually.holds(seconds: 2) { try status(key: caller.key, name) == 404 })
        #expect(try caller.rows().allSatisfy { $0.provider == name && $0.priceVersion != nil })
        try gateway.stores.expectExactBooks(caller.tenant)
        try expect(3, "there is no provider", "provider", "remove", name)
        // Its name is free again.
        try EndpointsCatalog.addProvider(name, port: gateway.provider.port, at: gateway)
    }

    // MARK: - Holds

    @Test func `holds are listed while their requests run, and none afterwards`() throws {
        let scene = try StreamingScene("cli-holds")
        let running = try scene.ask()
        let call = try scene.provider.call()
        let tenant = scene.caller.tenant.description
        let listed = try json(["holds", "list", "--tenant", tenant])
        let hold = try #require((listed["data"] as? [[String: Any]])?.first)
        #expect(listed["count"] as? Int == 1 && listed["redis_problem"] is NSNull)
        #expect(hold["status"] as? String == "pending" && hold["owner_alive"] as? Bool == true)
        #expect(hold["tenant"] as? String == tenant && hold["model"] as? String == scene.model)
        let amount = try #require(hold["amount"] as? String)
        #expect(hold["redis_amount"] as? String == amount && listed["held"] as? String == amount)
        #expect(try gateway.stores.books(scene.caller.tenant).ledger.held.description == amount)
        let key = try #require(hold["api_key_id"] as? String)
        #expect(scene.caller.key.split(separator: "_").dropFirst().first.map { String($0) } == key)
        #expect(hold["is_stream"] as? Bool == true)
        try expect(0, "1 holds, $\(amount)", "holds", "list", "--tenant", tenant)
        // The ledger's side is told also while Redis is away.
        var broken = environment
        broken["TOLLGATE_REDIS"] = "/nonexistent.sock"
        let half = try TestCommand.run(["holds", "list", "--tenant", tenant], environment: broken)
        #expect(half.status == 0 && half.output.contains("unknown") && half.output.contains("Redis: "))
        call.begin()
        call.stop()
        call.usage(prompt: 4, completion: 1)
        call.end()
        #expect(running.readsToEnd())
        _ = try scene.caller.settledRow()
        try expect(0, "0 holds, $0.000000000", "holds", "list", "--tenant", tenant)
        try expect(3, "there is no tenant 'nobody'", "holds", "list", "--tenant", "nobody")
    }
}
