import Core
import Ledger
import Quota
import TestSupport
import TestTools
import Testing
import Threads

@testable import Settlement

@Suite struct SettlementQueueTests {
    /// Threads that have each submitted a ticket, and what each was told.
    private final class Crowd: Sendable {
        let queue: SettlementQueue
        let refused = Locked(0)
        let answered = Locked(0)

        init(_ queue: SettlementQueue) {
            self.queue = queue
        }

        func submit() throws -> WorkerThread {
            try WorkerThread(name: "caller") { [self] in
                guard let order = Self.order() else { return }
                let ticket = SettlementTicket(.take(order))
                if queue.submit(ticket), ticket.outcome != nil {
                    answered.withLock { $0 += 1 }
                } else {
                    refused.withLock { $0 += 1 }
                }
            }
        }

        private static func order() -> ReserveOrder? {
            guard let tenant = TenantID("t") else { return nil }
            return ReserveOrder(
                tenant: tenant, trace: .fresh(), key: nil, amount: Money(nanodollars: 1),
                period: Period(day: 20_261_121), deadlineMilliseconds: 1_000, capability: "chat",
                model: "m", isStream: false)
        }
    }

    private static let outcome = SettlementTicket.Outcome.taken(
        SettlementLane.Taken(deducted: .failure(.overloaded), inserted: nil))

    @Test func `what is too much is refused at once, and the others wait for their turns`() throws {
        let queue = SettlementQueue(batchMax: 3, waitingMax: 7)
        let crowd = Crowd(queue)
        let threads = try (0..<20).map { _ in try crowd.submit() }
        #expect(Eventually.holds { crowd.refused.withLock { $0 } == 13 })
        var turns: [Int] = []
        while let tickets = queue.take(waits: false), !tickets.isEmpty {
            turns.append(tickets.count)
            for ticket in tickets { ticket.answer(Self.outcome) }
        }
        for thread in threads { thread.join() }
        #expect(turns == [3, 3, 1])
        #expect(crowd.answered.withLock { $0 } == 7)
    }

    @Test func `a closed queue refuses, and lets go of its thread when it has answered whom it accepted`()
        throws
    {
        let queue = SettlementQueue(batchMax: 10, waitingMax: 10)
        let crowd = Crowd(queue)
        let turns = Locked<[Int]>([])
        let started = Signal()
        let goOn = Signal()
        let lane = try WorkerThread(name: "lane") {
            while let tickets = queue.take(waits: true) {
                started.wake()
                goOn.wait()
                turns.withLock { $0.append(tickets.count) }
                for ticket in tickets { ticket.answer(Self.outcome) }
                goOn.wake()
            }
        }
        let first = try crowd.submit()
        #expect(started.wait(until: .after(seconds: 30)))
        let second = try crowd.submit()
        #expect(Eventually.holds { queue.waitingCount == 1 })
        queue.close()
        try crowd.submit().join()
        #expect(crowd.refused.withLock { $0 } == 1)
        goOn.wake()
        for thread in [first, second, lane] { thread.join() }
        #expect(turns.withLock { $0 } == [1, 1])
        #expect(crowd.answered.withLock { $0 } == 2)
    }
}
