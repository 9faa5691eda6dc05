import Core
import Glibc
import Ledger
import Postgres
import PrivateServers
import Quota
import Redis
import Settlement
import TestSupport
import TestTools
import Testing
import Threads
import Webhooks

@Suite struct OutboxRunnerTests {
    private func event(_ subject: String) -> AfterCommitTask {
        AfterCommitTask(WebhookEvent(.ledgerDrift, about: subject, unixSeconds: 0, data: []), tenant: nil)
    }

    /// Lets the time pass until every open task is due.
    private func passTime(_ bench: SettlementBench) throws {
        try bench.execute("UPDATE outbox SET due_at = now() WHERE due_at IS NOT NULL")
    }

    /// Seconds until the only task is due.
    private func pause(_ bench: SettlementBench) throws -> Int64 {
        try bench.execute("SELECT round(extract(epoch FROM due_at - now()))::bigint FROM outbox").int(0, 0)
    }

    // MARK: - Batches

    @Test func `4.3 several tasks of one commit are done as one batch`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let receiver = try WebhookReceiver()
        let hold = try bench.reserve(tenant, 300)
        var settlement = bench.committed(hold, 100)
        for number in 0..<5 {
            settlement.afterCommit(
                AfterCommitTask(kind: .webhook, key: "k\(number)", tenant: tenant, payload: "{}"))
        }
        _ = try bench.engine.settle(hold, settlement, otherwise: settlement)
        let summary = try bench.runOutbox(receiver.sender())
        #expect(summary.batches == 1 && summary.done == 5)
        #expect(receiver.deliveries.map(\.id) == (0..<5).map { "k\($0)" })
        #expect(try bench.outbox.figures().open == 0)
    }

    @Test func `with nothing to do nothing is done`() throws {
        let bench = try SettlementBench()
        #expect(try bench.runOutbox() == OutboxRunner.Summary())
    }

    // MARK: - Credits

    @Test func `a credit that Redis takes at once leaves no task`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        try bench.addCredit(500, to: tenant, "more")
        #expect(try bench.outbox.figures().open == 0)
        try bench.expectExactBooks(tenant)
    }

    @Test(arguments: [false, true])
    func `a credit added while Redis is stopped is told it later, also when Redis is empty then`(
        isEmpty: Bool
    )
        throws
    {
        var options = SettlementBench.Options()
        options.redisTimeoutMilliseconds = 300
        let bench = try SettlementBench(options)
        let tenant = try bench.makeTenant(balance: 1_000)
        bench.server.server.process?.send(SIGSTOP)
        defer { bench.server.server.process?.send(SIGCONT) }
        #expect(try bench.addCredit(500, to: tenant, "more") == .added(sequence: 2))
        let failed = try bench.runOutbox()
        #expect(failed.failed == 1 && failed.done == 0)
        bench.server.server.process?.send(SIGCONT)
        // It needs a moment for what was sent to it meanwhile.
        let isBack = Eventually.holds { (try? bench.redis.command([isEmpty ? "FLUSHALL" : "PING"])) != nil }
        #expect(isBack)
        let isDone = try Eventually.holds {
            try passTime(bench)
            return try bench.runOutbox().done == 1
        }
        #expect(isDone)
        #expect(try bench.expectExactBooks(tenant).image?.balance == Money(nanodollars: 1_500))
        #expect(try bench.outbox.figures().open == 0)
    }

    @Test
    func `a credit whose process died before it told Redis is told once, however often its task is done`()
        throws
    {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        for number in 0..<3 {
            _ = try bench.ledger.addCredit(
                Money(nanodollars: 10), to: tenant, kind: "t", externalID: "lost-\(number)")
        }
        #expect(try bench.runOutbox().done == 3)
        #expect(try bench.expectExactBooks(tenant).image?.balance == Money(nanodollars: 1_030))
        try bench.outbox.write([.credit(2, of: tenant), .credit(3, of: tenant)])
        #expect(try bench.runOutbox().done == 2)
        #expect(try bench.expectExactBooks(tenant).image?.balance == Money(nanodollars: 1_030))
    }

    // MARK: - The webhook

    @Test func `what the receiver refuses is tried again with growing pauses, then given up and told`() throws
    {
        let bench = try SettlementBench()
        let receiver = try WebhookReceiver()
        try bench.outbox.write([event("a")])
        receiver.behave(.answer(500))
        var pauses: [Int64] = []
        while try bench.outbox.figures().dead == 0, pauses.count < 20 {
            #expect(try bench.runOutbox(receiver.sender(), of: nil).done == 0)
            if try bench.outbox.figures().dead == 0 { pauses.append(try pause(bench)) }
            try passTime(bench)
        }
        #expect(pauses == [10, 30, 120, 600, 3_600, 14_400, 28_800, 36_000])
        #expect(receiver.deliveries.count >= 9 && Set(receiver.deliveries.prefix(9).map(\.id)).count == 1)
        #expect(Set(receiver.deliveries.prefix(9).map(\.body)).count == 1)
        #expect(try bench.outbox.figures().dead == 1)
        receiver.behave(.answer(200))
        #expect(try bench.runOutbox(receiver.sender()).done == 1)
        let last = try #require(receiver.deliveries.last)
        #expect(last.isSigned && last.body.contains(#""type":"outbox.dead""#), "\(last)")
        #expect(last.body.contains(#""key":"ledger-drift:a""#) && last.body.contains("answered 500"))
    }

    @Test func `that such an event was given up brings no further event`() throws {
        let bench = try SettlementBench()
        let receiver = try WebhookReceiver()
        let dead = WebhookEvent(.outboxDead, about: "77", unixSeconds: 0, data: [])
        try bench.outbox.write([AfterCommitTask(dead, tenant: nil)])
        try bench.execute("UPDATE outbox SET attempts = 8")
        receiver.behave(.answer(500))
        let notices = Locked<[String]>([])
        let summary = try bench.runOutbox(receiver.sender()) { notice in
            if case .dead(let task, _, _) = notice { notices.withLock { $0.append(task.key) } }
        }
        #expect(summary.dead == 1 && notices.withLock { $0 } == ["outbox-dead:77"])
        #expect(try bench.outbox.figures().open == 0)
    }

    @Test func `an event whose answer was lost comes again under the same id`() throws {
        let bench = try SettlementBench()
        let receiver = try WebhookReceiver()
        try bench.outbox.write([event("a")])
        receiver.behave(.hangUp)
        #expect(try bench.runOutbox(receiver.sender()).failed == 1)
        receiver.behave(.answer(200))
        try passTime(bench)
        #expect(try bench.runOutbox(receiver.sender()).done == 1)
        #expect(receiver.deliveries.map(\.id) == ["ledger-drift:a", "ledger-drift:a"])
        #expect(receiver.deliveries[0].body == receiver.deliveries[1].body)
    }

    @Test func `a receiver that does not answer is asked once a run, and the others have lost no attempt`()
        throws
    {
        let bench = try SettlementBench()
        let receiver = try WebhookReceiver()
        try bench.outbox.write((0..<100).map { event("\($0)") })
        receiver.behave(.wait)
        let summary = try bench.runOutbox(receiver.sender(milliseconds: 500))
        #expect(summary.failed == 1 && summary.untried == 63 && receiver.deliveries.count == 1)
        receiver.behave(.answer(200))
        try passTime(bench)
        #expect(try bench.runOutbox(receiver.sender()).done == 100)
        #expect(Set(receiver.deliveries.map(\.id)).count == 100)
    }

    @Test func `without a receiver an event that is there waits`() throws {
        let bench = try SettlementBench()
        try bench.outbox.write([event("a")])
        #expect(try bench.runOutbox().failed == 1)
        #expect(try bench.outbox.figures().open == 1)
    }

    // MARK: - Pauses

    @Test func `a task is tried for somewhat less than a day, and a credit for ever`() {
        var attempts = 0
        var seconds = 0
        while let pause = TaskRetry.pauseSeconds(after: attempts + 1, of: .webhook) {
            attempts += 1
            seconds += pause
        }
        #expect(attempts == 8 && seconds > 20 * 3_600 && seconds < 24 * 3_600)
        #expect((1...1_000).allSatisfy { (TaskRetry.pauseSeconds(after: $0, of: .credit) ?? 0) <= 3_600 })
        #expect(TaskRetry.pauseSeconds(after: 1_000, of: .credit) == 3_600)
    }
}
