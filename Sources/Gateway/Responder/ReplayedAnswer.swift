package import Core
import FastCGI
package import Ledger

/// The answer of an earlier request that one under the same idempotency key is given.
package struct ReplayedAnswer: Sendable {
    /// The request that was charged for it.
    package let trace: TraceID
    /// The answer as its client got it.
    package let answer: StoredAnswer

    init(_ answer: StoredAnswer, of trace: TraceID) {
        self.answer = answer
        self.trace = trace
    }

    /// The status that it has.
    var status: Int { answer.status }
    /// The bytes that it is.
    var body: [UInt8] { answer.body ?? [] }

    /// Sends it, at once even if it was a stream, under the name of the request that was charged for it.
    func write(to exchange: Exchange) {
        var head = AnswerHead(status: status, contentType: answer.contentType)
        head.add("x-request-id", trace.description)
        head.add("Idempotent-Replayed", "true")
        head.add("x-tollgate-cost", "\(Money.zero)")
        if answer.contentType == EventStream.contentType { head.add("Cache-Control", "no-cache") }
        head.add("Content-Length", String(body.count))
        head.write(to: exchange)
        exchange.write(body)
    }
}

/// What streams are called.
enum EventStream {
    /// The value of `Content-Type`.
    static let contentType = "text/event-stream; charset=utf-8"
}
