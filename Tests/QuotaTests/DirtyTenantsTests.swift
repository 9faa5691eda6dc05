import Core
import PrivateServers
import Redis
import TestSupport
import Testing

@testable import Quota

@Suite struct DirtyTenantsTests {
    @Test func `whose image was changed is told once, and whose was not is not`() throws {
        let server = try SharedServers.Redis()
        let benches = try (0..<3).map { _ in try ImageBench(server: server) }
        let store = benches[0].store
        for bench in benches { try #require(try bench.install(epoch: 1) == .installed) }
        let trace = TraceID.fresh()
        let orders = [benches[0].order(1), benches[1].order(1, trace: trace), benches[0].order(1)]
        let held = try store.deduct(orders).compactMap { reply in
            if case .held(let held) = try reply.get() { held } else { nil }
        }
        try store.tellDirty()
        let told = { () throws -> Set<String> in
            let names = try benches[0].redis.command(["SMEMBERS", QuotaKeys.dirty]).elements ?? []
            return Set(names.compactMap(\.text))
        }
        #expect(try told() == Set(benches.prefix(2).map(\.tenant.description)))
        _ = try benches[0].redis.command(["DEL", QuotaKeys.dirty])
        try store.tellDirty()
        #expect(try told().isEmpty)
        _ = store.settle([benches[1].settlement(held[1], trace, charge: 1)])
        try store.tellDirty()
        #expect(try told() == [benches[1].tenant.description])
    }
}
