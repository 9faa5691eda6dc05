import Core
import Foundation
import Gateway
import Glibc
import Ledger
import Postgres
import PrivateServers
import ProviderSimulator
import Quota
import Redis
import Settlement
import Synchronization
import Tenancy
import TestSupport
import TestTools
import Testing
import Threads

/// One row of the matrix: an installation under load, into which the row's test brings its fault.
final class FaultScene: Sendable {
    let gateway: TestGateway
    let form = FaultForm.current
    let callers: [FaultCaller]

    private let further = Locked<[FaultCaller]>([])
    private let kept: TemporaryDirectory?
    private let orders: @Sendable (Int) -> FaultOrder
    private let answers = Locked<[FaultAnswer]>([])
    private let answered = Atomic<Int>(0)
    private let isOver = Atomic(false)
    private let endOfLoad = Atomic<Int>(0)
    private let watch: FaultWatch
    /// How old a hold without a row must be for the sweeper, in seconds: longer than any reservation takes.
    static let sweepGraceSeconds = 8

    /// Makes the tenants: two that are rich, one with little money, one with a daily quota.
    ///
    /// - Parameters:
    ///   - orders: What the n-th request asks for.
    ///   - kept: A directory that a server of the gateway is in.
    init(
        _ gateway: TestGateway, orders: @escaping @Sendable (Int) -> FaultOrder = FaultOrder.mixed,
        keeping kept: TemporaryDirectory? = nil
    ) throws {
        self.gateway = gateway
        self.kept = kept
        self.orders = orders
        let stores = gateway.stores
        let register = TenantRegister(database: stores.money.database)
        func key(_ tenant: TenantID, budget: String? = nil, isLimited: Bool = false) throws -> FaultCaller {
            let limit = try budget.map { try #require(Money(decimal: $0)) }
            let budget = limit.map { KeyBudget(limit: $0, period: .total) }
            let secret = try register.createKey(
                for: tenant, label: "", allowedModels: nil, budget: budget,
                pepper: stores.configuration.pepper)
            return FaultCaller(tenant: tenant, key: try #require(secret).text, isLimited: isLimited)
        }
        let first = try stores.makeTenant("rich-1", balance: "1000")
        let second = try stores.makeTenant("rich-2", balance: "1000", dailyQuota: 1_000_000)
        let poor = try stores.makeTenant("poor", balance: "0.02")
        let counted = try stores.makeTenant("counted", balance: "1000", dailyQuota: 100)
        callers = [
            try key(first), try key(second, budget: "500"), try key(poor, isLimited: true), try key(first),
            try key(second), try key(counted, isLimited: true),
        ]
        watch = FaultWatch(gateway, poor: poor)
    }

    /// A gateway for a row.
    static func makeGateway(
        processes: Int = 1, postgres: PrivatePostgres? = nil, redis: [String: String] = [:],
        environment: [String: String] = [:]
    ) throws -> TestGateway {
        let settings = ["TOLLGATE_LOG_LEVEL": "error", "TOLLGATE_SETTLE_WAIT_MILLISECONDS": "200"]
        return try TestGateway(
            environment: settings.merging(environment) { $1 }, redisSettings: redis, postgres: postgres,
            processes: processes)
    }

    /// A caller of the tenant with this name.
    func caller(_ tenant: String) throws -> FaultCaller {
        try #require(callers.first { $0.tenant.description == tenant })
    }

    // MARK: - For the fault

    /// A further tenant, whose requests the row's test makes itself; with so many keys.
    func makeTenant(_ name: String, balance: String, keys: Int = 1, isLimited: Bool) throws -> [FaultCaller] {
        let tenant = try gateway.stores.makeTenant(name, balance: balance)
        let made = try (0..<keys).map { _ in
            FaultCaller(tenant: tenant, key: try gateway.stores.makeKey(tenant), isLimited: isLimited)
        }
        further.withLock { $0 += made }
        return made
    }

    /// Asks one process, past nginx, and writes the answer down.
    func ask(process number: Int, _ order: FaultOrder, _ caller: FaultCaller) throws -> FaultAnswer {
        var answer = FaultAnswer(order, caller)
        answer.read(
            try gateway.processes().ask(
                number, "POST", "/v1/chat/completions", key: caller.key, body: order.body))
        answer.milliseconds = answer.began.elapsedNanoseconds / 1_000_000
        answers.withLock { [answer] in $0.append(answer) }
        return answer
    }

    /// Waits until so many further requests have been answered.
    func waitForAnswers(_ count: Int, seconds: Int = 60) {
        let before = answered.load(ordering: .relaxed)
        #expect(Eventually.holds(seconds: seconds) { answered.load(ordering: .relaxed) >= before + count })
    }

    /// Lets time pass.
    func pass(_ milliseconds: Int) {
        usleep(useconds_t(milliseconds) * 1_000)
    }

    /// Brings a fault that is over at once, some times.
    func repeatedly(_ fault: () throws -> Void) throws {
        for _ in 0..<form.times {
            try fault()
            pass(form.fault / form.times)
        }
    }

    /// Asks once, and writes the answer down.
    @discardableResult
    func ask(_ order: FaultOrder = FaultOrder(), _ caller: FaultCaller) -> FaultAnswer {
        let answer = FaultClient.ask(order, caller, at: gateway.url)
        answers.withLock { $0.append(answer) }
        answered.add(1, ordering: .relaxed)
        return answer
    }

    /// Asks until the gateway can decide.
    @discardableResult
    func insist(_ order: FaultOrder = FaultOrder(), _ caller: FaultCaller) -> FaultAnswer {
        let deadline = Deadline.after(seconds: 40)
        while true {
            let answer = ask(order, caller)
            if answer.isFinal || answer.isRefusal || deadline.isPast { return answer }
            pass(50)
        }
    }

    // MARK: - The run

    /// Runs the load around a fault, lets everything come to rest, and audits what all have written down.
    ///
    /// - Parameter fault: Brings the fault and takes it away; what it throws fails the row after everything was stopped.
    func run(
        _ row: String, _ name: String, clockOffsets: [Int64] = [],
        sourceLocation: SourceLocation = #_sourceLocation, fault: (FaultScene) throws -> Void
    ) throws -> FaultReport {
        let began = Deadline.now
        var evidence = try observe(fault)
        evidence.clockOffsets += clockOffsets
        let findings = FaultAudit(evidence).findings()
        for finding in findings.prefix(8) {
            Issue.record("row \(row): \(finding)", sourceLocation: sourceLocation)
        }
        #expect(findings.isEmpty, "\(findings.count) findings", sourceLocation: sourceLocation)
        var report = FaultReport(answers: Array(evidence.answers.prefix(loadCount)), evidence: evidence)
        report.told = gateway.faultLog(of: report.errors.compactMap(\.trace))
        report.print(row, name, seconds: began.elapsedNanoseconds / 1_000_000_000)
        return report
    }

    /// Runs the load around a fault, lets everything come to rest, and reads what all have written down.
    func observe(_ fault: (FaultScene) throws -> Void = { _ in }) throws -> FaultEvidence {
        let background = try watch.start()
        let clients = try Concurrently.begin(form.clients) { self.client($0) }
        pass(form.before)
        waitForAnswers(form.clients)
        watch.remember()
        let outcome = Result { try fault(self) }
        if case .success = outcome { pass(form.after) }
        watch.remember()
        isOver.store(true, ordering: .relaxed)
        _ = try clients.wait()
        endOfLoad.store(answers.withLock { $0.count }, ordering: .relaxed)
        // Every tenant asks once more: whose image was lost gets a new one.
        for caller in callers { insist(caller) }
        watch.stop()
        _ = try background.wait()
        drain()
        try outcome.get()
        return try evidence()
    }

    /// How many of the answers were given under load.
    private var loadCount: Int { endOfLoad.load(ordering: .relaxed) }

    private func insist(_ caller: FaultCaller) {
        let answer = insist(FaultOrder(), caller)
        #expect(answer.isAsUsual, "after the fault \(caller.tenant) gets \(answer.label)")
    }

    private func client(_ index: Int) {
        var round = 0
        while !isOver.load(ordering: .relaxed) {
            // Every client comes past all orders, with all callers.
            let answer = ask(orders(index + round * 7), callers[(index + round) % callers.count])
            round += 1
            // No faster than a client that was refused would ask again.
            if !answer.isAsUsual || answer.isRefusal { pass(20) }
        }
    }

    /// Sweeps until nothing is pending and no hold is left, or it has taken too long: then the audit names what is left.
    private func drain() {
        _ = try? Eventually.holds(seconds: 45) {
            watch.sweep()
            try gateway.stores.money.registerRedis()
            return try gateway.faultRows().allSatisfy(\.hasEnded)
                && gateway.stores.money.quota.tenantsWithHolds().isEmpty
        }
    }

    private func evidence() throws -> FaultEvidence {
        var evidence = FaultEvidence()
        evidence.answers = answers.withLock { $0 }
        evidence.calls = try gateway.providerCalls()
        evidence.rows = try gateway.faultRows()
        evidence.earlier = watch.ended
        evidence.tenants = try gateway.faultBooks(callers + further.withLock { $0 })
        evidence.prices = try gateway.faultPrices()
        evidence.observations = try watch.observations() + gateway.faultProblems()
        return evidence
    }
}

/// What a row has brought.
struct FaultReport {
    /// The answers of the load.
    let answers: [FaultAnswer]
    let evidence: FaultEvidence
    /// What the log says of the errors.
    var told: [String] = []

    /// The answers that are not what the same request gets without a fault.
    var errors: [FaultAnswer] { answers.filter { !$0.isAsUsual } }

    /// How far both sides of the books are apart, all tenants together, in nano-dollars.
    var drift: Int64 { evidence.tenants.reduce(0) { $0 + $1.drift } }

    /// Checks that no client saw an error but of these kinds, and how long the slowest of them took.
    func expectErrors(
        only labels: Set<String>, withinMilliseconds limit: Int64 = .max,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let others = errors.filter { !labels.contains($0.label) }
        #expect(
            others.isEmpty, "\(others.count): \(others.prefix(3)); log: \(told.prefix(3))",
            sourceLocation: sourceLocation)
        let slow = errors.filter { $0.milliseconds > limit }
        #expect(
            slow.isEmpty, "\(slow.count) took as long as \(slow.map(\.milliseconds).max() ?? 0) ms",
            sourceLocation: sourceLocation)
    }

    /// Adds the row to the table.
    func print(_ row: String, _ name: String, seconds: Int64) {
        let kinds = Dictionary(grouping: errors, by: \.label).mapValues(\.count)
        let words = kinds.sorted { $0.key < $1.key }.map { "\($0.value) × \($0.key)" }
        let slowest = errors.map(\.milliseconds).max()
        let answered = answers.count(where: \.isFinal)
        FaultTable.add([
            row, name, "\(answers.count)", "\(answered)", "\(answers.count(where: \.isRefusal))", "\(drift)",
            (words.isEmpty ? "none" : words.joined(separator: ", "))
                + (slowest.map { ", slowest \($0) ms" } ?? "") + "  (\(seconds) s)",
        ])
    }
}
