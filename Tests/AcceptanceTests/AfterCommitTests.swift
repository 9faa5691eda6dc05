import Core
import Foundation
import Gateway
import Glibc
import Ledger
import Postgres
import PrivateServers
import Quota
import Redis
import Settlement
import Tenancy
import TestSupport
import TestTools
import Testing
import Threads

/// What is done after a commit: boxes 2.4, 3.1 and 4 of the original requirements.
@Suite struct AfterCommitTests {
    private let directory: TemporaryDirectory
    private let receiver: WebhookReceiver
    /// What lets a program of ours send to the receiver.
    private let webhook: [String: String]

    init() throws {
        directory = try TemporaryDirectory()
        receiver = try WebhookReceiver()
        let path = directory.path + "/webhook-secret"
        try Data((WebhookReceiver.secretText + "\n").utf8).write(to: URL(fileURLWithPath: path))
        webhook = ["TOLLGATE_WEBHOOK_URL": receiver.url, "TOLLGATE_WEBHOOK_SECRET_FILE": path]
    }

    /// A request that costs all that is held for it, once its model's price is of output alone.
    private let order = ChatOrder(maxTokens: 16)
    private static let cost = Money(nanodollars: 16 * 30_000)

    /// A key with a budget of so many such requests, in hundredths.
    private func makeKey(
        _ gateway: TestGateway, hundredths: Int64
    ) throws -> (tenant: TenantID, id: String, text: String) {
        let tenant = try gateway.stores.makeTenant("acme", balance: "10")
        let price = try gateway.command("price", "set", "sim-ok", "--input", "0", "--output", "30")
        try #require(price.status == 0, "\(price.output)")
        let free = try gateway.stores.makeKey(tenant)
        let isPriced = try Eventually.holds {
            // Every process has to know it.
            try (0..<4).allSatisfy { _ in
                try gateway.chat(order, key: free).headers["x-tollgate-cost"] == Self.cost.description
            }
        }
        try #require(isPriced)
        let limit = Money(nanodollars: Self.cost.nanodollars * hundredths / 100)
        let secret = try TenantRegister(database: gateway.stores.money.database).createKey(
            for: tenant, label: "test", allowedModels: nil, budget: KeyBudget(limit: limit, period: .month),
            pepper: gateway.stores.configuration.pepper)
        let made = try #require(secret)
        return (tenant, made.id, made.text)
    }

    private func sql(_ gateway: TestGateway, _ text: String) throws -> String {
        try gateway.stores.database.run(text).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func chat(_ gateway: TestGateway, _ process: Int, key: String) throws -> Int {
        try gateway.processes().ask(process, "POST", "/v1/chat/completions", key: key, body: order.body)
            .status
    }

    // MARK: - Budgets

    @Test func `3.1 a key at nine tenths of its budget is warned about once a period, whoever serves it`()
        throws
    {
        let gateway = try TestGateway(environment: webhook, processes: 2)
        let (tenant, id, key) = try makeKey(gateway, hundredths: 2_000)
        for number in 0..<17 { #expect(try chat(gateway, number % 2, key: key) == 200) }
        #expect(try sql(gateway, "SELECT count(*) FROM outbox") == "0", "85 % are no reason")
        #expect(try chat(gateway, 0, key: key) == 200)
        let isTold = Eventually.holds { receiver.deliveries.count == 1 }
        #expect(isTold)
        // The other has not seen it, and a new one knows nothing.
        #expect(try chat(gateway, 1, key: key) == 200)
        let processes = try gateway.processes()
        processes.kill(0)
        try processes.start(0)
        #expect(try chat(gateway, 0, key: key) == 200)
        #expect(try chat(gateway, 0, key: key) == 429, "the budget is used up")
        let job = try gateway.command("job", "outbox")
        #expect(job.status == 0 && job.output.hasPrefix("outbox: 0 done, 0 failed"), "\(job.output)")
        let delivery = try #require(receiver.deliveries.first)
        let period = TestStores.period.month
        #expect(receiver.deliveries.count == 1 && delivery.isSigned)
        #expect(delivery.id == "budget-warning:\(tenant):\(id):\(period)")
        #expect(delivery.body.contains(#""used":"0.008640000""#), "\(delivery.body)")
        let log = try String(contentsOfFile: processes.logPath(0), encoding: .utf8)
        #expect(log.contains("an API key has used nine tenths of its budget") && log.contains(id))
        try gateway.stores.expectExactBooks(tenant)
    }

    @Test func `4.2 a request that is not charged warns about nothing`() throws {
        let gateway = try TestGateway(environment: webhook)
        let (_, _, key) = try makeKey(gateway, hundredths: 100)
        #expect(try gateway.chat(ChatOrder(model: "sim-500", maxTokens: 1), key: key).status >= 400)
        #expect(try sql(gateway, "SELECT count(*) FROM outbox") == "0")
    }

    // MARK: - Crashes

    @Test(arguments: ["7", "8"])
    func `4.1 what a process did not do that died after its commit, the job does`(point: String) throws {
        let gateway = try TestGateway(environment: webhook)
        let (tenant, id, key) = try makeKey(gateway, hundredths: 110)
        try gateway.restart(crashAt: point)
        // Its answer may still have got through.
        _ = try gateway.chat(order, key: key)
        #expect(gateway.waitForEnd(seconds: 20) == .exited(137))
        #expect(receiver.deliveries.isEmpty)
        // Whoever died may have claimed it.
        _ = try sql(gateway, "UPDATE outbox SET due_at = now()")
        let tried = try gateway.command("job", "outbox", "--dry-run")
        #expect(tried.status == 0 && tried.output.contains("; 1 due, 1 open"), "\(tried.output)")
        #expect(receiver.deliveries.isEmpty)
        let done = try gateway.command("job", "outbox")
        #expect(done.status == 0 && done.output.contains("outbox: 2 done"), "\(done.output)")
        #expect(done.output.contains("API key \(id) of acme has used"))
        #expect(receiver.deliveries.map(\.isSigned) == [true])
        #expect(try gateway.command("job", "outbox").output.hasPrefix("outbox: 0 done"))
        try gateway.sweepUntilClean()
        try gateway.stores.expectExactBooks(tenant)
    }

    // MARK: - The command

    private func run(_ stores: TestStores, _ arguments: String..., also: [String: String] = [:]) throws -> (
        status: Int32, output: String
    ) {
        try TestCommand.run(
            arguments, environment: stores.environment.merging(webhook) { $1 }.merging(also) { $1 })
    }

    @Test func `a credit is added while Redis is stopped, and the job tells Redis`() throws {
        let stores = try TestStores()
        let tenant = try stores.makeTenant("acme", balance: "3")
        let other = try stores.makeTenant("other", balance: "1")
        stores.redis.server.process?.send(SIGSTOP)
        defer { stores.redis.server.process?.send(SIGCONT) }
        let added = try run(stores, "credit", "add", "acme", "2", "--external-id", "more")
        #expect(added.status == 0 && added.output.contains("Balance: $5.0"), "\(added.output)")
        let failed = try run(stores, "job", "outbox")
        #expect(failed.status == 1 && failed.output.contains("1 failed"), "\(failed.output)")
        stores.redis.server.process?.send(SIGCONT)
        let isBack = Eventually.holds { (try? stores.money.redis.command(["PING"])) != nil }
        #expect(isBack)
        _ = try stores.database.run("UPDATE outbox SET due_at = now()")
        let elsewhere = try run(stores, "job", "outbox", "--tenant", "other")
        #expect(elsewhere.status == 0 && elsewhere.output.contains("0 done"), "\(elsewhere.output)")
        let runtime = ["RUNTIME_DIRECTORY": directory.path]
        let done = try run(stores, "job", "outbox", also: runtime)
        #expect(done.status == 0 && done.output.contains("1 done"), "\(done.output)")
        let told = try String(contentsOfFile: directory.path + "/outbox.job", encoding: .utf8)
        #expect(
            told.contains("tollgate_outbox_oldest_seconds 0\n") && told.contains("tollgate_outbox_dead 0\n"))
        for tenant in [tenant, other] { try stores.expectExactBooks(tenant) }
    }

    @Test func `2.4 books that differ are told to the webhook once a check`() throws {
        let stores = try TestStores()
        let tenant = try stores.makeTenant("acme", balance: "3")
        #expect(try run(stores, "job", "consistency").status == 0)
        _ = try stores.money.redis.command(["HINCRBY", QuotaKeys(tenant).tenant, "balance", "7"])
        #expect(try run(stores, "job", "consistency", "--dry-run").status == 1)
        #expect(try run(stores, "job", "outbox").output.contains("0 done"))
        #expect(try run(stores, "job", "consistency").status == 1)
        #expect(try run(stores, "job", "outbox").output.contains("1 done"))
        let delivery = try #require(receiver.deliveries.first)
        #expect(receiver.deliveries.count == 1 && delivery.isSigned)
        #expect(delivery.body.contains(#""type":"ledger.drift""#))
        #expect(delivery.body.contains(#"{"tenant":"acme","drift":"0.000000007"}"#), "\(delivery.body)")
        // Nobody is told where nobody wants to be.
        #expect(try run(stores, "job", "consistency", also: ["TOLLGATE_WEBHOOK_URL": ""]).status == 1)
        #expect(try stores.database.run("SELECT count(*) FROM outbox") == "0\n")
    }

    @Test func `what was given up is told by doctor, and tried once more when somebody says so`() throws {
        let stores = try TestStores()
        receiver.behave(.answer(400))
        _ = try stores.database.run(
            """
            INSERT INTO outbox (kind, task_key, payload, attempts) VALUES ('webhook', 'an-id', '{}', 8)
            """)
        let dead = try run(stores, "job", "outbox")
        #expect(dead.status == 1 && dead.output.contains("webhook an-id is given up after 9 attempts"))
        let doctor = try run(stores, "doctor")
        #expect(doctor.output.contains("1 after-commit tasks were given up"), "\(doctor.output)")
        receiver.behave(.answer(200))
        let again = try run(stores, "job", "outbox", "--retry-dead")
        #expect(again.status == 0 && again.output.contains("1 done"), "\(again.output)")
        // The event that tells of it is tried again later.
        #expect(receiver.deliveries.map(\.id) == ["an-id", "outbox-dead:1", "an-id"])
    }

    @Test func `without a good secret nobody starts who would send events`() throws {
        let stores = try TestStores()
        let path = directory.path + "/empty"
        try Data("\n".utf8).write(to: URL(fileURLWithPath: path))
        let empty = ["TOLLGATE_WEBHOOK_SECRET_FILE": path]
        let job = try run(stores, "job", "outbox", also: empty)
        #expect(job.status == 1 && job.output.contains("whsec_"), "\(job.output)")
        let settings = stores.environment.merging(webhook) { $1 }.merging(empty) { $1 }
        let responder = try TestCommand.run([TestGateway.programs + "/tollgated"], settings, seconds: 30)
        #expect(responder.status != 0 && responder.output.contains("TOLLGATE_WEBHOOK_SECRET_FILE"))
        #expect(!responder.output.contains("whsec_MfKQ"))
    }
}
