import Core
import Ledger
import Postgres
import Settlement
import TestSupport
import Testing

@testable import Jobs

@Suite struct PruneTests {
    @Test func `what nobody can need any more is removed, and nothing else`() throws {
        let bench = try SettlementBench()
        let tenant = try bench.makeTenant(balance: 1_000)
        let ended = try bench.reserve(tenant, 100)
        let running = try bench.reserve(tenant, 100)
        bench.void(ended)
        try bench.ledger.writeCheckpoints(
            [ended, running].map { hold in
                StreamCheckpoint(
                    tenant: tenant, trace: hold.trace, providerModelID: 1, priceVersion: 1, inputTokens: 1,
                    outputTokens: 1, source: .observed)
            })
        try bench.execute("INSERT INTO redis_incarnations (run_id, replication_id) VALUES ('old', 'old')")
        try bench.ledger.renewOwner(LocalProcess.identity(), leaseSeconds: 60)
        try bench.ledger.renewOwner(
            OwnerIdentity(name: "dead", host: "h", pid: 1, processStart: 1), leaseSeconds: 60)
        let job = PruneJob(ledger: bench.ledger)
        #expect(try job.run() == PruneSummary())
        try bench.execute("UPDATE stream_checkpoints SET at = at - interval '25 hours'")
        try bench.execute(
            "UPDATE redis_incarnations SET seen_at = now() - interval '91 days' WHERE run_id = 'old'")
        try bench.execute("UPDATE owners SET lease_until = now() - interval '25 hours' WHERE owner = 'dead'")
        #expect(try job.run(isDryRun: true) == PruneSummary(checkpoints: 1, owners: 1, incarnations: 1))
        #expect(try job.run() == PruneSummary(checkpoints: 1, owners: 1, incarnations: 1))
        #expect(try bench.execute("SELECT trace_id FROM stream_checkpoints").text(0, 0) == "\(running.trace)")
        #expect(try bench.execute("SELECT 1 FROM billing_transactions").count == 2)
        #expect(try job.run() == PruneSummary())
    }

    @Test func `partitions are made ahead`() throws {
        let bench = try SettlementBench()
        let next =
            "billing_transactions_' || to_char(now() AT TIME ZONE 'UTC' + interval '2 months', 'YYYY_MM') || '"
        try bench.execute("DO $$ BEGIN EXECUTE 'DROP TABLE \(next)'; END $$")
        #expect(try PruneJob(ledger: bench.ledger).run().partitions == 1)
    }
}
