import Core
import Foundation
import Ledger
import TestSupport
import Testing

/// Programs of ours above 1,100 descriptors that nobody uses, as `./tollgate test --descriptors` has all of them.
@Suite struct DescriptorTests {
    private static let launcher = [TestGateway.checkout + "/Tests/with-descriptors"]
    /// The last of the descriptors that nobody uses.
    private static let lastTaken = 1_102

    /// What the open descriptors of a process are.
    private func descriptors(of process: String) throws -> [Int: String] {
        let directory = "/proc/\(process)/fd"
        let numbers = try FileManager.default.contentsOfDirectory(atPath: directory).compactMap { Int($0) }
        return Dictionary(
            uniqueKeysWithValues: numbers.compactMap { number in
                // One that was closed meanwhile is none.
                (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(directory)/\(number)")).map {
                    (number, $0)
                }
            })
    }

    @Test func `with --descriptors the tests themselves have theirs above 1,100 others, else not`() throws {
        let isAbove =
            try descriptors(of: "self").count { $0.key <= Self.lastTaken && $0.value == "/dev/null" } > 1_000
        #expect(isAbove == !TestCommand.launcher.isEmpty)
    }

    @Test func `tollgated serves with all its connections above 1,100 other descriptors`() throws {
        let scene = try StreamingScene("descriptors", at: TestGateway(launcher: Self.launcher))
        let client = try scene.ask()
        let call = try scene.provider.call()
        call.begin()
        call.piece("one")
        #expect(client.waits(for: "\"one\""))
        let process = try #require(scene.gateway.processID)
        let all = try descriptors(of: String(process))
        #expect((3...Self.lastTaken).filter { all[$0] != "/dev/null" } == [])
        let sockets = all.filter { $0.value.hasPrefix("socket:") }.keys
        // Of nginx, of the provider, to Redis and to PostgreSQL, and the one that it listens on.
        #expect(sockets.count >= 5)
        #expect(sockets.allSatisfy { $0 > Self.lastTaken })
        call.stop()
        call.usage(prompt: 4, completion: 1)
        call.end()
        #expect(client.readsToEnd())
        #expect(client.events.last == "[DONE]")
        #expect(try scene.caller.settledRow().charge.nanodollars == 4 * 10_000 + 30_000)
    }

    @Test func `the command line does what it is asked above 1,100 other descriptors`() throws {
        let gateway = try EndpointsGateway.shared()
        let tenants = try TestCommand.run(
            Self.launcher + [TestGateway.programs + "/tollgate", "tenant", "list", "--json"],
            gateway.environment, seconds: 60)
        #expect(tenants.status == 0, "\(tenants.output)")
        let shown = try TestCommand.run(
            Self.launcher + ["/bin/ls", "-1", "/proc/self/fd"], [:], seconds: 30)
        #expect(shown.output.split(separator: "\n").count > Self.lastTaken)
    }
}
