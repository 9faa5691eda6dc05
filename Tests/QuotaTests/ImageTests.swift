import Core
import Redis
import TestSupport
import TestTools
import Testing

@testable import Quota

@Suite struct ImageTests {
    // MARK: - Lease

    @Test func `one takes the lease on a missing image and the others are told to wait`() throws {
        let bench = try ImageBench(isInstalled: false)
        let replies = try Concurrently.run(20) { index in
            try bench.store.takeLease(
                tenant: bench.tenant, token: "token-\(index)", milliseconds: 60_000,
                incarnation: ImageBench.incarnation)
        }
        #expect(replies.count { $0 == .taken(epochSeen: 0) } == 1)
        #expect(replies.count { $0 == .busy } == 19)
    }

    @Test func `nobody rebuilds an image that stands`() throws {
        let bench = try ImageBench()
        let reply = try bench.store.takeLease(
            tenant: bench.tenant, token: "a", milliseconds: 60_000, incarnation: ImageBench.incarnation)
        #expect(reply == .warm)
        let other = try bench.store.takeLease(
            tenant: bench.tenant, token: "a", milliseconds: 60_000, incarnation: ImageBench.incarnation + 1)
        #expect(other == .taken(epochSeen: 1), "an image of another life is to be rebuilt above its epoch")
    }

    @Test func `the holder of the lease renews it`() throws {
        let bench = try ImageBench(isInstalled: false)
        func take(_ token: String, _ milliseconds: Int) throws -> LeaseReply {
            try bench.store.takeLease(
                tenant: bench.tenant, token: token, milliseconds: milliseconds,
                incarnation: ImageBench.incarnation)
        }
        _ = try take("a", 10_000)
        #expect(try take("a", 60_000) == .taken(epochSeen: 0))
        #expect(try #require(try bench.redis.command(["PTTL", bench.keys.warm]).integer) > 30_000)
        #expect(try take("b", 60_000) == .busy)
    }

    @Test func `a lease whose holder died ends by itself`() throws {
        let bench = try ImageBench(isInstalled: false)
        _ = try bench.store.takeLease(
            tenant: bench.tenant, token: "dead", milliseconds: 100, incarnation: ImageBench.incarnation)
        let isFree = try Eventually.holds {
            try bench.store.takeLease(
                tenant: bench.tenant, token: "next", milliseconds: 60_000,
                incarnation: ImageBench.incarnation) == .taken(epochSeen: 0)
        }
        #expect(isFree)
    }

    // MARK: - Install

    @Test func `an image is installed whole and its lease ends with it`() throws {
        let bench = try ImageBench(isInstalled: false)
        let reply = try bench.install(
            epoch: 4, balance: 77, creditLimit: 5, dailyQuota: 9, dailyUsed: 2, monthlyUsed: 3,
            creditSequence: 6, limitsVersion: 8)
        #expect(reply == .installed)
        let image = try bench.image()
        #expect(image.incarnation == ImageBench.incarnation && image.epoch == 4 && image.balance == .nano(77))
        #expect(image.creditSequence == 6 && image.version == 0)
        #expect(image.dailyUsed == 2 && image.monthlyUsed == 3 && image.holds.isEmpty)
        #expect(try bench.redis.command(["EXISTS", bench.keys.warm]).integer == 0)
        let held = try bench.hold(1)
        #expect(held.epoch == 4 && held.rseq == 1 && held.limitsVersion == 8)
        #expect(held.dailyQuota == 9 && held.monthlyQuota == nil)
    }

    @Test func `an image has no end of its own`() throws {
        let bench = try ImageBench()
        _ = try bench.hold(1)
        #expect(try bench.redis.command(["PTTL", bench.keys.tenant]).integer == -1)
        #expect(try bench.redis.command(["PTTL", bench.keys.holds]).integer == -1)
    }

    @Test(arguments: [nil, "another"])
    func `without the lease nothing is installed`(holder: String?) throws {
        let bench = try ImageBench(isInstalled: false)
        if let holder { _ = try bench.redis.command(["SET", bench.keys.warm, holder]) }
        #expect(try bench.install(epoch: 1, leaseToken: "mine") == .lost)
        #expect(try bench.redis.command(["EXISTS", bench.keys.tenant]).integer == 0)
    }

    @Test(arguments: [5, 4])
    func `an image of the same or a later epoch is not replaced`(epoch: Int64) throws {
        let bench = try ImageBench(isInstalled: false)
        _ = try bench.install(epoch: 5, balance: 1)
        _ = try bench.hold(1)
        let before = try bench.everything()
        #expect(try bench.install(epoch: epoch, balance: 1_000) == .newer)
        #expect(try bench.everything() == before)
    }

    @Test func `an image of an earlier epoch is replaced with all its holds`() throws {
        let bench = try ImageBench(balance: 1_000)
        let lost = TraceID.fresh()
        let held = try bench.hold(400, trace: lost)
        #expect(try bench.install(epoch: 2, balance: 900) == .installed)
        let image = try bench.image()
        #expect(image.epoch == 2 && image.balance == .nano(900) && image.holds.isEmpty)
        #expect(try bench.settle(held, lost, charge: 0, isVoided: true) == .gone(balance: .nano(900)))
        #expect(try bench.image().dailyUsed == 0)
    }

    @Test func `pending holds are there again and settle as they would have`() throws {
        let bench = try ImageBench(isInstalled: false)
        let traces = (0..<3).map { _ in TraceID.fresh() }
        let holds = traces.enumerated().map { index, trace in
            (trace: trace.description, hold: "\((index + 1) * 100)|3|\(index + 7)|key1|20250614|202506|0|0")
        }
        #expect(
            try bench.install(epoch: 9, balance: 400, dailyUsed: 3, monthlyUsed: 3, holds: holds)
                == .installed)
        #expect(try bench.image().held == .nano(600))
        let settled = try bench.store.settle(
            HoldSettlement(
                tenant: bench.tenant, trace: traces[1], epoch: 3, rseq: 8, charge: .nano(50), isVoided: false)
        )
        #expect(settled == .settled(balance: .nano(550)))
        // The order that made a hold, repeated after the rebuild, finds it.
        guard case .held(let again) = try bench.deduct(100, trace: traces[0]) else {
            Issue.record("the hold is gone")
            return
        }
        #expect(again.epoch == 3 && again.rseq == 7)
        #expect(try bench.balance() == 550)
    }

    // MARK: - Drop

    @Test func `a current image is kept`() throws {
        let bench = try ImageBench(isInstalled: false)
        _ = try bench.install(epoch: 3, creditSequence: 5, limitsVersion: 2)
        let before = try bench.everything()
        try bench.store.drop(tenant: bench.tenant, unlessEpoch: 3, creditSequence: 5, limitsVersion: 2)
        try bench.store.drop(tenant: bench.tenant, unlessEpoch: 3, creditSequence: 4, limitsVersion: 1)
        #expect(try bench.everything() == before)
    }

    @Test(arguments: [(4, 5, 2), (2, 5, 2), (3, 6, 2), (3, 5, 3)])
    func `an image that lacks an epoch, a credit or a limit is dropped with its holds`(
        epoch: Int64, creditSequence: Int64, limitsVersion: Int64
    ) throws {
        let bench = try ImageBench(isInstalled: false)
        _ = try bench.install(epoch: 3, creditSequence: 5, limitsVersion: 2)
        _ = try bench.hold(1)
        try bench.store.drop(
            tenant: bench.tenant, unlessEpoch: epoch, creditSequence: creditSequence,
            limitsVersion: limitsVersion)
        #expect(try bench.redis.command(["EXISTS", bench.keys.tenant, bench.keys.holds]).integer == 0)
    }

    @Test func `dropping an image that is not there does nothing`() throws {
        let bench = try ImageBench(isInstalled: false)
        try bench.store.drop(tenant: bench.tenant, unlessEpoch: 1, creditSequence: 0, limitsVersion: 1)
        #expect(try bench.redis.command(["EXISTS", bench.keys.tenant]).integer == 0)
    }

    // MARK: - Reading

    @Test func `two thousand holds are read whole`() throws {
        let bench = try ImageBench(balance: 1_000_000)
        try Concurrently.run(20) { _ in
            for _ in 0..<100 { _ = try bench.hold(3) }
        }
        let image = try bench.image()
        #expect(image.holds.count == 2_000)
        #expect(image.held == .nano(6_000) && image.balance == .nano(994_000))
        #expect(image.version == 2_000)
    }

    @Test func `tenants with holds are found and others are not`() throws {
        let with = try ImageBench()
        let without = try ImageBench()
        _ = try with.hold(1)
        let found = try with.store.tenantsWithHolds()
        #expect(found.contains(with.tenant))
        #expect(!found.contains(without.tenant))
    }

    @Test func `the keys of a tenant share one slot and name it`() throws {
        let tenant = try #require(TenantID("a.b-c_d"))
        let keys = QuotaKeys(tenant)
        #expect(keys.tenant == "gw:quota:tenant:{a.b-c_d}")
        #expect(keys.holds == "gw:quota:holds:{a.b-c_d}")
        #expect(keys.warm == "gw:quota:warm:{a.b-c_d}")
        #expect(QuotaKeys.tenant(ofHoldsKey: keys.holds) == tenant)
        #expect(QuotaKeys.tenant(ofHoldsKey: keys.tenant) == nil)
    }

    @Test(arguments: ["", "5|1", "x|1|1||20250614|202506", "5|1|1||day|202506|0|0"])
    func `what is no hold is not read as one`(text: String) throws {
        #expect(StoredHold(trace: .fresh(), stored: text) == nil)
    }
}
