import Core
import CoreMetrics
import Dialects
import FastCGI
import Foundation
import Ledger
import Observability
import Tenancy
import TestSupport
import Testing
import Threads

@testable import Gateway

@Suite struct WorkflowTests {
    private let journal = Journal()
    private let registry = PrometheusRegistry()
    private let trace = TraceID(unixMilliseconds: 1_700_000_000_000, random: (1, 2))

    /// Runs a workflow and returns the answer.
    private func run(
        _ steps: [any Step], last: any Step, before prepare: (inout WorkflowContext) -> Void = { _ in }
    ) throws -> (answer: String, failure: GatewayError?) {
        let workflow = try Workflow(steps, last: last, metrics: registry)
        let request = try TestExchange()
        var context = WorkflowContext(
            trace: trace, exchange: request.exchange, apiKey: .make(.apiKey), startedAt: .now,
            deadline: .after(seconds: 30))
        prepare(&context)
        workflow.run(&context)
        let failure = context.failure
        return (request.finish(), failure)
    }

    private func probe<Place: ProbePlace>(
        _: Place.Type,
        _ effect: @escaping @Sendable (inout WorkflowContext) throws(GatewayError) -> Void = { _ in }
    ) -> Probe<Place> {
        Probe(journal: journal, effect: effect)
    }

    /// A step that leaves what an answered request leaves.
    private func answering(_ body: String) -> Probe<Free> {
        probe(Free.self) { context in
            context.upstreamCall = UpstreamCallSection(isStream: false, statusCode: 200, attempts: 1)
            context.responseTransform = ResponseTransformSection(
                outcome: .complete, usage: Usage(), usageSource: .provider, body: Array(body.utf8))
        }
    }

    @Test func `steps run in order, then the answer goes out, then the last step runs`() throws {
        let last = probe(Last.self) { [journal] context in journal.add("delivered \(context.bytesDelivered)")
        }
        let (answer, failure) = try run(
            [probe(Second.self), probe(First.self), answering("the answer")], last: last)
        #expect(journal.all == ["first", "second", "free", "last", "delivered 10"])
        #expect(failure == nil)
        #expect(answer.hasPrefix("Status: 200 OK\r\n"))
        #expect(answer.contains("\r\nx-request-id: \(trace)\r\n"))
        #expect(answer.contains("\r\nContent-Length: 10\r\n"))
        #expect(answer.hasSuffix("\r\n\r\nthe answer"))
    }

    @Test func `after a failure those that had run give back, in reverse order, and the last step runs`()
        throws
    {
        let failing = probe(Third.self) { _ throws(GatewayError) in throw .probe() }
        let last = probe(Last.self) { [journal] context in
            journal.add("failed with \(context.failure?.code ?? "nothing"), sent \(context.statusSent)")
        }
        let (answer, _) = try run(
            [probe(First.self), probe(Second.self), failing, answering("never")], last: last)
        #expect(
            journal.all == [
                "first", "second", "third", "second gives back after PROBE", "first gives back after PROBE",
                "last",
                "failed with PROBE, sent 418",
            ])
        #expect(answer.hasPrefix("Status: 418 "))
        #expect(answer.contains("\r\nx-request-id: \(trace)\r\n"))
        #expect(answer.contains("\r\nRetry-After: 7\r\n"))
        #expect(answer.contains("\r\nx-should-retry: false\r\n"))
        #expect(answer.contains(#""message":"told to the client""#))
        #expect(!answer.contains("only for the log"))
    }

    @Test func `when the first step fails nobody gives back and the last step runs all the same`() throws {
        let failing = probe(First.self) { _ throws(GatewayError) in throw .probe() }
        _ = try run([failing, probe(Second.self)], last: probe(Last.self))
        #expect(journal.all == ["first", "last"])
    }

    @Test func `a failure of the last step harms nobody`() throws {
        let last = probe(Last.self) { _ throws(GatewayError) in throw .probe("LATE") }
        let (answer, failure) = try run([answering("the answer")], last: last)
        #expect(answer.hasSuffix("\r\n\r\nthe answer"))
        #expect(journal.all == ["free", "last"])
        #expect(failure?.code == "LATE")
    }

    @Test func `a failure behind the head of a stream becomes an event, never a second head`() throws {
        let failing = probe(First.self) { context throws(GatewayError) in
            context.exchange.write(
                "Status: 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: keep-alive\n\n")
            context.statusSent = 200
            throw .probe()
        }
        let (answer, _) = try run([failing], last: probe(Last.self))
        #expect(answer.components(separatedBy: "Status:").count == 2)
        #expect(answer.contains(": keep-alive\n\ndata: {\"error\":"))
        #expect(answer.hasSuffix("}\n\n"))
    }

    @Test func `a request whose answer is known runs no further step`() throws {
        let known = StoredAnswer(status: 200, contentType: "text/plain", body: Array("as before".utf8))
        let first = TraceID(unixMilliseconds: 1_600_000_000_000, random: (3, 4))
        let finding = probe(First.self) { context in
            context.idempotency = IdempotencySection(replayed: ReplayedAnswer(known, of: first))
        }
        let last = probe(Last.self) { [journal] context in journal.add("sent \(context.statusSent)") }
        let (answer, failure) = try run([finding, probe(Second.self), answering("anew")], last: last)
        #expect(journal.all == ["first", "last", "sent 200"])
        #expect(failure == nil)
        #expect(answer.contains("\r\nx-request-id: \(first)\r\nIdempotent-Replayed: true\r\n"))
        #expect(answer.hasSuffix("\r\n\r\nas before"))
    }

    @Test func `a client that has left is not answered, and what was taken is given back`() throws {
        let failing = probe(Second.self) { _ throws(GatewayError) in throw .clientGone }
        let (answer, failure) = try run([probe(First.self), failing], last: probe(Last.self))
        #expect(answer == "")
        #expect(failure?.status == 499)
        #expect(journal.all == ["first", "second", "first gives back after CLIENT_GONE", "last"])
    }

    @Test func `the last bytes of a stream go out after all steps`() throws {
        let streaming = probe(Free.self) { context in
            context.exchange.write("Status: 200 OK\r\n\r\ndata: {}\n\n")
            context.statusSent = 200
            context.bytesDelivered = 10
            context.upstreamCall = UpstreamCallSection(isStream: true, statusCode: 200, attempts: 1)
            context.responseTransform = ResponseTransformSection(
                outcome: .complete, usage: Usage(), usageSource: .provider,
                terminalBytes: Array("data: [DONE]\n\n".utf8))
        }
        let (answer, _) = try run([streaming], last: probe(Last.self))
        #expect(answer == "Status: 200 OK\r\n\r\ndata: {}\n\ndata: [DONE]\n\n")
    }

    @Test func `an answer that nobody receives any more is noted, not a failure of the steps`() throws {
        let request = try TestExchange()
        let workflow = try Workflow(
            [answering(String(repeating: "x", count: 1_000_000))], last: probe(Last.self), metrics: registry)
        var context = WorkflowContext(
            trace: trace, exchange: request.exchange, apiKey: .make(.apiKey), startedAt: .now,
            deadline: .after(seconds: 30))
        request.hangUp()
        workflow.run(&context)
        #expect(journal.all == ["free", "last"])
        let status = context.failure?.status
        #expect(status == 499)
    }

    @Test func `each step's duration is counted under its name, the last one's too`() throws {
        _ = try run([probe(First.self), answering("x")], last: probe(Last.self))
        let text = registry.text()
        for step in ["first", "free", "last"] {
            #expect(text.contains("tollgate_step_seconds_count{step=\"\(step)\"} 1"), "\(step)")
        }
    }
}
