import Foundation
import Ledger
import ProviderSimulator
import TestSupport
import TestTools
import Testing

/// Where a provider may be, seen from outside: through a real tollgated.
@Suite struct ProviderAddressTests {
    private func run(_ gateway: TestGateway, _ arguments: String...) throws {
        let (status, output) = try TestCommand.run(arguments, environment: gateway.stores.environment)
        try #require(status == 0, "\(arguments): \(output)")
    }

    /// What tollgated's log says of a request that failed.
    private func logged(_ answer: TestHTTP.Answer, _ gateway: TestGateway) throws -> String {
        let trace = try #require(answer.headers["x-request-id"])
        var line: Substring?
        let isLogged = try Eventually.holds {
            let log = try String(contentsOfFile: gateway.tollgatedLogPath, encoding: .utf8)
            line = log.split(separator: "\n").first { $0.contains(trace) && $0.contains("error_detail") }
            return line != nil
        }
        try #require(isLogged)
        let object = try JSONSerialization.jsonObject(with: Data((line ?? "").utf8)) as? [String: Any]
        return try #require(object?["error_detail"] as? String)
    }

    @Test
    func `a provider at a private address is called only where that is allowed, and the log says why not`()
        throws
    {
        // An environment that names proxies, which nobody may use: the call that succeeds below did not.
        let nowhere = "http://127.0.0.1:9"
        let names = ["http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"]
        let gateway = try TestGateway(
            environment: Dictionary(uniqueKeysWithValues: names.map { ($0, nowhere) }))
        try run(
            gateway, "provider", "add", "near", "--url", "http://127.0.0.1:\(gateway.provider.port)/v1",
            "--credential",
            "provider-secret")
        try EndpointsCatalog.add("near-ok", provider: "near", upstreamModel: "sim-ok", at: gateway)
        let caller = try EndpointsCaller("near", at: gateway)
        let refused = try caller.chat("near-ok")
        #expect(refused.status == 502)
        let error = try EndpointsError(refused.body)
        #expect(error.code == "upstream_error")
        // Where our providers are is not the client's business.
        #expect(!refused.body.contains("127.0.0.1") && !refused.body.contains("private"))
        let said = try logged(refused, gateway)
        #expect(said.contains("near: its address 127.0.0.1 is private"), "\(said)")
        #expect(said.contains("tollgate provider set near --allow-private-addresses"), "\(said)")
        #expect(try gateway.providerCalls().isEmpty)
        #expect(try caller.settledRow().status == "voided")

        try run(gateway, "provider", "set", "near", "--allow-private-addresses")
        #expect(try Eventually.holds { try caller.chat("near-ok").status == 200 })
        #expect(try gateway.providerCalls().count == 1)

        try run(gateway, "provider", "set", "near", "--no-allow-private-addresses")
        #expect(try Eventually.holds { try caller.chat("near-ok").status == 502 })
    }

    @Test func `a metadata service is not called whatever is allowed`() throws {
        let gateway = try EndpointsGateway.shared()
        try run(
            gateway, "provider", "add", "cloud", "--url", "http://169.254.169.254/v1", "--credential",
            "provider-secret",
            "--allow-private-addresses")
        try EndpointsCatalog.add("cloud-ok", provider: "cloud", upstreamModel: "sim-ok", at: gateway)
        let caller = try EndpointsCaller("cloud", at: gateway)
        let refused = try caller.chat("cloud-ok")
        #expect(refused.status == 502)
        let said = try logged(refused, gateway)
        #expect(said.contains("cloud: its address 169.254.169.254 is never connected to"), "\(said)")
        #expect(try caller.settledRow().status == "voided")
    }
}
