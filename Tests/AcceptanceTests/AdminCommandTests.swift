import Core
import Foundation
import Ledger
import ProviderSimulator
import Quota
import TestSupport
import TestTools
import Testing
import Threads

/// The command line against a running gateway: what it prints, how it exits, and what the gateway makes of it.
@Suite struct AdminCommandTests: CommandTests {
    let gateway: TestGateway

    init() throws {
        gateway = try EndpointsGateway.shared()
    }

    // MARK: - Tenants and keys

    @Test func `a tenant is created once, shown and listed, and its first request is paid from its credit`()
        throws
    {
        let tenant = name("cli")
        let made = try json(["tenant", "create", tenant, "--balance", "2.5", "--daily-quota", "7"])
        #expect(made["id"] as? String == tenant)
        #expect(made["balance"] as? String == "2.500000000")
        try expect(4, "'\(tenant)' exists already", "tenant", "create", tenant)
        let key = try #require(try json(["key", "create", "--tenant", tenant])["key"] as? String)
        #expect(key.hasPrefix("tg_"))
        #expect(try status(key: key) == 200)
        let shown = try json(["tenant", "show", tenant])
        #expect(shown["balance"] as? String == "2.499480000")
        #expect(shown["redis_balance"] as? String == "2.499480000")
        #expect(shown["charged"] as? String == "0.000520000")
        #expect(shown["held"] as? String == "0.000000000")
        #expect(shown["daily_used"] as? Int == 1)
        #expect(shown["daily_quota"] as? Int == 7)
        #expect(shown["monthly_quota"] is NSNull)
        #expect(shown["committed"] as? Int == 1)
        let listed = try json(["tenant", "list", "--after", String(tenant.dropLast()), "--limit", "1"])
        let rows = try #require(listed["data"] as? [[String: Any]])
        #expect(rows.map { $0["id"] as? String } == [tenant])
        #expect(rows.first?["balance"] as? String == "2.499480000")
        let table = try TestCommand.run(["tenant", "show", tenant], environment: environment)
        #expect(table.status == 0)
        #expect(table.output.contains("$2.499480000") && table.output.contains("requests today"))
    }

    @Test func `a revoked key is refused within a second by the running gateway`() throws {
        let caller = try EndpointsCaller("cli-revoke", at: gateway)
        let made = try json(["key", "create", "--tenant", caller.tenant.description, "--name", "mine"])
        let key = try #require(made["key"] as? String)
        let id = try #require(made["id"] as? String)
        #expect(key.split(separator: "_").dropFirst().first.map { String($0) } == id)
        #expect(try status(key: key) == 200)
        #expect(try json(["key", "revoke", id])["revoked"] as? Bool == true)
        // A second, and as much again for a busy machine.
        #expect(try Eventually.holds(seconds: 2) { try status(key: key) == 401 })
        #expect(try status(key: caller.key) == 200)
        try expect(0, "Revoked", "key", "revoke", id)
        try expect(3, "there is no API key", "key", "revoke", "000000000000")
        try expect(64, "is not a key's id", "key", "revoke", "no_id")
    }

    @Test func `a key for some models may call no other`() throws {
        let caller = try EndpointsCaller("cli-models", at: gateway)
        let made = try json([
            "key", "create", "--tenant", caller.tenant.description, "--model", "sim-ok", "--model",
            "sim-slow",
        ])
        let key = try #require(made["key"] as? String)
        #expect(try status(key: key) == 200)
        #expect(try status(key: key, "sim-cached") == 404)
        try expect(
            64, "cannot name a model", "key", "create", "--tenant", caller.tenant.description, "--model",
            "a b")
        try expect(3, "there is no tenant 'nobody'", "key", "create", "--tenant", "nobody")
    }

    // MARK: - Credits

    @Test func `a credit counts once, however often it is added`() throws {
        let caller = try EndpointsCaller("cli-credit", at: gateway, balance: "1")
        let tenant = caller.tenant.description
        let first = try json(["credit", "add", tenant, "4.25", "--external-id", "invoice-1"])
        #expect(first["repeated"] as? Bool == false)
        #expect(first["balance"] as? String == "5.250000000")
        // In Redis as soon as the command has ended.
        #expect(try gateway.stores.books(caller.tenant).image?.balance.description == "5.250000000")
        let second = try json(["credit", "add", tenant, "4.25", "--external-id", "invoice-1"])
        #expect(second["repeated"] as? Bool == true)
        #expect(second["balance"] as? String == "5.250000000")
        try expect(
            4, "'invoice-1' was added before with $4.250000000, not $4.260000000", "credit", "add", tenant,
            "4.26", "--external-id", "invoice-1")
        try expect(0, "Already added", "credit", "add", tenant, "4.250", "--external-id", "invoice-1")
        let books = try gateway.stores.books(caller.tenant)
        #expect(books.ledger.credited.description == "5.250000000")
        try gateway.stores.expectExactBooks(caller.tenant)
        try expect(3, "there is no tenant", "credit", "add", "nobody", "1", "--external-id", "x")
        for amount in ["0", "1e3", "NaN", "0.0000000001", "9000001", "1,5", "+1", ""] {
            let outcome = try TestCommand.run(
                ["credit", "add", tenant, amount, "--external-id", "bad"], environment: environment)
            #expect(outcome.status == 64, "\(amount): \(outcome.output)")
        }
        #expect(try gateway.stores.books(caller.tenant).ledger.credited.description == "5.250000000")
    }

    @Test func `a credit ends a refusal at once`() throws {
        let caller = try EndpointsCaller("cli-topup", at: gateway, balance: "0")
        #expect(try status(key: caller.key) == 402)
        _ = try json(["credit", "add", caller.tenant.description, "1", "--external-id", "topup"])
        #expect(try status(key: caller.key) == 200)
    }

    // MARK: - Catalogue

    @Test func `a price counts for the requests that begin after it`() throws {
        let scene = try StreamingScene("cli-price")
        let running = try scene.ask()
        let call = try scene.provider.call()
        let published = try json([
            "price", "set", scene.model, "--input", "20", "--output", "60", "--per-request", "0.001",
        ])
        let version = try #require(published["version"] as? Int64)
        // Once the gateway lists it, a request that begins is priced by it; the running one is not.
        let next = try asked(scene, until: version)
        finish(call)
        #expect(running.readsToEnd())
        let rows = try scene.caller.rows()
        let first = try #require(rows.last)
        #expect(first.charge.nanodollars == 4 * 10_000 + 30_000)
        #expect(first.priceVersion.map { $0 < version } == true)
        #expect(next.charge.nanodollars == 4 * 20_000 + 60_000 + 1_000_000)
    }

    /// Asks until a request is priced by a version of the price.
    private func asked(_ scene: StreamingScene, until version: Int64) throws -> ListedTransaction {
        let deadline = Deadline.after(seconds: 15)
        while true {
            let client = try scene.ask()
            finish(try scene.provider.call())
            #expect(client.readsToEnd())
            let row = try #require(try scene.caller.rows().first { $0.status == "committed" })
            if row.priceVersion == version { return row }
            try #require(!deadline.isPast, "the price never counts")
        }
    }

    private func finish(_ call: StreamingProvider.Call) {
        call.begin()
        call.piece("one")
        call.stop()
        call.usage(prompt: 4, completion: 1)
        call.end()
    }

    @Test func `a provider, a model and a price make a model that can be called`() throws {
        let model = name("cli-made")
        let url = "http://127.0.0.1:\(gateway.provider.port)/v1/"
        let added = try json([
            "provider", "add", model, "--url", url, "--credential", "s3cret", "--allow-private-addresses",
        ])
        #expect(added["url"] as? String == String(url.dropLast()))
        try expect(4, "exists already", "provider", "add", model, "--url", url, "--credential", "other")
        #expect(
            try json(["model", "add", model, "--provider", model, "--upstream-model", "sim-ok"])["model"]
                as? String == model)
        try expect(
            4, "exists already", "model", "add", model, "--provider", model, "--upstream-model", "sim-ok")
        try expect(3, "there is no provider 'nobody'", "model", "add", model, "--provider", "nobody")
        let caller = try EndpointsCaller("cli-made", at: gateway)
        #expect(try Eventually.holds { try status(key: caller.key, model) == 503 })
        #expect(
            try json(["price", "set", model, "--provider", model, "--input", "1", "--output", "2"])["model"]
                as? String == model)
        #expect(try Eventually.holds { try status(key: caller.key, model) == 200 })
        #expect(try caller.onlyRow().charge.nanodollars == 4 * 1_000 + 16 * 2_000)
        try expect(
            3, "there is no provider 'nobody'", "price", "set", model, "--provider", "nobody", "--input", "1",
            "--output", "2")
        for bad in ["-1", "1.0000000001", "1000001", "abc"] {
            let outcome = try TestCommand.run(
                ["price", "set", model, "--input=\(bad)", "--output", "2"], environment: environment)
            #expect(outcome.status == 64, "\(bad): \(outcome.output)")
        }
        for bad in ["ftp://x", "http://u:p@x/v1", "http://x/v1?k=1", "x", "https://"] {
            let outcome = try TestCommand.run(
                ["provider", "add", name("bad"), "--url", bad, "--credential", "c"], environment: environment)
            #expect(outcome.status == 64, "\(bad): \(outcome.output)")
        }
    }

    @Test func `a provider's credential can come from standard input`() throws {
        let provider = try StreamingProvider()
        let model = name("cli-stdin")
        let words = [
            "/bin/sh", "-c", #"echo provider-piped | "$0" "$@""#, TestGateway.programs + "/tollgate",
            "provider",
            "add", model, "--url", "http://127.0.0.1:\(provider.port)", "--credential", "-",
            "--allow-private-addresses",
        ]
        #expect(try TestCommand.run(words, environment, seconds: 60).status == 0)
        try EndpointsCatalog.add(model, provider: model, upstreamModel: "x", at: gateway)
        let caller = try EndpointsCaller("cli-stdin", at: gateway)
        let client = try StreamingClient(gateway.url)
        client.postChat(key: caller.key, EndpointsCaller.body(model))
        let request = try provider.call().request
        #expect(request.contains("Bearer provider-piped\r\n"))
    }

    // MARK: - Transactions, tokens, the rest

    @Test func `transactions are listed as the ledger has them`() throws {
        let caller = try EndpointsCaller("cli-list", at: gateway)
        #expect(try status(key: caller.key) == 200)
        #expect(try status(key: caller.key, "sim-500") == 502)
        let tenant = caller.tenant.description
        let listed = try json(["transactions", "list", "--tenant", tenant])
        let rows = try #require(listed["data"] as? [[String: Any]])
        #expect(rows.map { $0["status"] as? String } == ["voided", "committed"])
        #expect(rows.map { $0["charge"] as? String } == ["0.000000000", "0.000520000"])
        #expect(rows.first?["error_code"] as? String == "UPSTREAM_CALL_FAILED")
        let trace = try #require(rows.first?["trace_id"] as? String)
        let older = try json(["transactions", "list", "--tenant", tenant, "--before", trace])
        #expect((older["data"] as? [[String: Any]])?.count == 1)
        let voided = try json(["transactions", "list", "--tenant", tenant, "--status", "voided"])
        #expect((voided["data"] as? [[String: Any]])?.count == 1)
        try expect(0, "0.000520000", "transactions", "list", "--tenant", tenant)
        try expect(64, "--status", "transactions", "list", "--status", "gone")
        try expect(64, "--before", "transactions", "list", "--before", "1")
    }

    @Test func `an admin token works at once`() throws {
        let token = try #require(try json(["admin-token", "create", "--name", "ops"])["token"] as? String)
        #expect(token.hasPrefix("tga_"))
        let answer = try TestHTTP.get(gateway.adminURL + "/admin/v1/tenants?limit=1", key: token)
        #expect(answer.status == 200)
    }

    @Test func `migrating a database that is current changes nothing`() throws {
        let applied = try json(["migrate"])
        #expect((applied["applied"] as? [Any])?.isEmpty == true)
    }

    @Test func `wrong usage is 64, and says what is right`() throws {
        try expect(64, "Usage: tollgate tenant create", "tenant", "create")
        try expect(64, "is not a tenant's name", "tenant", "create", "Not A Name")
        try expect(
            64, "--balance: '1.0000000000' is not an amount", "tenant", "create", "x", "--balance",
            "1.0000000000")
        try expect(
            64, "--time-zone: 'Mars/Olympus' is not known", "tenant", "create", "x", "--time-zone",
            "Mars/Olympus")
        try expect(64, "--daily-quota: '-1' is not a limit", "tenant", "create", "x", "--daily-quota=-1")
        try expect(3, "there is no tenant 'nobody'", "tenant", "show", "nobody")
        try expect(64, "Unexpected argument", "no-such-command")
        try expect(0, "Exit status: 0 done", "--help")
    }

    @Test func `a store that cannot be reached is 1, and says which`() throws {
        var unset = environment
        for name in unset.keys { unset[name] = "" }
        let missing = try TestCommand.run(["tenant", "list"], environment: unset)
        #expect(missing.status == 1)
        for name in ["TOLLGATE_DATABASE", "TOLLGATE_REDIS", "TOLLGATE_PEPPER_FILE"] {
            #expect(missing.output.contains("\(name) is not set"), "\(missing.output)")
        }
        var broken = environment
        broken["TOLLGATE_DATABASE"] = "host=/nonexistent dbname=x connect_timeout=2"
        let unreachable = try TestCommand.run(["tenant", "list"], environment: broken)
        #expect(unreachable.status == 1)
        #expect(unreachable.output.contains("/nonexistent"), "\(unreachable.output)")
        // The ledger is shown also while Redis is gone.
        let caller = try EndpointsCaller("cli-broken", at: gateway)
        broken = environment
        broken["TOLLGATE_REDIS"] = "/nonexistent.sock"
        let half = try TestCommand.run(
            ["tenant", "show", caller.tenant.description], environment: broken)
        #expect(half.status == 0)
        #expect(half.output.contains("$10.000000000") && half.output.contains("not loaded"))
        #expect(half.output.contains("/nonexistent.sock") || half.output.contains("No such file"))
    }
}
