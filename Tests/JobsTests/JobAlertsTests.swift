import Core
import Jobs
import Ledger
import Settlement
import TestSupport
import Testing

@Suite struct JobAlertsTests {
    @Test
    func `more than a dollar that differs between Redis and the ledger is an event, if anybody wants it`()
        throws
    {
        let bench = try SettlementBench()
        let alerts = JobAlerts(outbox: bench.outbox, hasWebhook: true)
        var summary = SyncSummary(success: 1)
        summary.differences = ["acme: Redis has $1.000000000 too little"]
        summary.unexplained = SyncSummary.alarmAbove
        try alerts.quotaSyncDifference(summary, of: "quota-sync")
        #expect(try bench.outbox.figures().open == 0, "a dollar is no reason")
        summary.unexplained = SyncSummary.alarmAbove + Money(nanodollars: 1)
        try JobAlerts(outbox: bench.outbox, hasWebhook: false).quotaSyncDifference(summary, of: "quota-sync")
        #expect(try bench.outbox.figures().open == 0, "nobody wants it")
        try alerts.quotaSyncDifference(summary, of: "quota-sync")
        let receiver = try WebhookReceiver()
        #expect(try bench.runOutbox(receiver.sender()).done == 1)
        let body = try #require(receiver.deliveries.first).body
        #expect(body.contains(#""type":"quota_sync.difference""#), "\(body)")
        #expect(body.contains(#""unexplained":"1.000000001""#) && body.contains("acme: Redis has"))
    }
}
