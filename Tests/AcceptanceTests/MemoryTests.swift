import Foundation
import TestSupport
import TestTools
import Testing

/// What tollgated keeps of the system's memory.
@Suite struct MemoryTests {
    /// Memory of its own, in KiB: heaps and stacks.
    private func memoryKiB(of process: Int32) throws -> Int {
        let text = try String(contentsOfFile: "/proc/\(process)/smaps_rollup", encoding: .utf8)
        let line = text.split(separator: "\n").first { $0.hasPrefix("Anonymous:") }
        return try #require(line.flatMap { Int($0.split(separator: " ")[1]) })
    }

    @Test func `after three hundred streams at once their memory is given back`() throws {
        let gateway = try TestGateway(
            environment: ["TOLLGATE_IDLE_SECONDS": "1", "TOLLGATE_LOG_LEVEL": "error"])
        let tenant = try gateway.stores.makeTenant("tenant", balance: "1000")
        let key = try gateway.stores.makeKey(tenant)
        let process = try #require(gateway.processID)
        let order = ChatOrder(model: "sim-slow", isStream: true)
        #expect(try gateway.insistingChat(order, key: key).isComplete(order))
        let before = try memoryKiB(of: process)

        let answers = try Concurrently.run(300) { _ in try gateway.insistingChat(order, key: key) }
        #expect(answers.allSatisfy { $0.isComplete(order) })
        let after = try memoryKiB(of: process)
        #expect(after > before + 16 * 1_024, "the streams were not there at the same time")
        // What stays are the pages of the heaps in which something is in use. What glibc keeps by default would be as much again.
        #expect(
            Eventually.holds { ((try? memoryKiB(of: process)) ?? .max) < before + 2_560 },
            "it went from \(before) to \(after) KiB and not back")
    }

    @Test func `streams that come again and again need no more memory each time`() throws {
        // As many as there are workers, which stay, so that every round uses all of them.
        let count = 128
        let gateway = try TestGateway(
            environment: ["TOLLGATE_WORKERS_MAX": String(count), "TOLLGATE_LOG_LEVEL": "error"])
        let tenant = try gateway.stores.makeTenant("tenant", balance: "1000")
        let key = try gateway.stores.makeKey(tenant)
        let process = try #require(gateway.processID)
        let order = ChatOrder(model: "sim-slow", isStream: true)
        func serve() throws {
            let answers = try Concurrently.run(count) { _ in try gateway.insistingChat(order, key: key) }
            #expect(answers.allSatisfy { $0.isComplete(order) })
        }

        try serve()
        let first = try memoryKiB(of: process)
        for _ in 0..<5 { try serve() }
        let last = try memoryKiB(of: process)
        // Stacks still grow by some pages. What glibc keeps by default would be 30 KiB a worker.
        #expect(last < first + 20 * count, "it went from \(first) to \(last) KiB")
    }
}
