import Core
import Dialects
import FastCGI
import Quota
import Settlement
import Threads

/// The header lines of an answer, as FastCGI wants them.
struct AnswerHead {
    private var bytes: [UInt8] = []

    init(status: Int, contentType: String) {
        bytes.reserveCapacity(512)
        add("Status", "\(status) \(AnswerHead.reason(status))")
        add("Content-Type", contentType)
    }

    /// Adds a header line.
    ///
    /// Values are ours or have been checked: a line break in one would end the header.
    mutating func add(_ name: StaticString, _ value: String) {
        var value = value
        value.withUTF8 { add(name, text: $0) }
    }

    private mutating func add(_ name: StaticString, text: UnsafeBufferPointer<UInt8>) {
        precondition(!text.contains { $0 < 0x20 }, "a header value must not break its line")
        name.withUTF8Buffer { bytes += $0 }
        bytes.append(UInt8(ascii: ":"))
        bytes.append(UInt8(ascii: " "))
        bytes += text
        endLine()
    }

    private mutating func endLine() {
        bytes.append(UInt8(ascii: "\r"))
        bytes.append(UInt8(ascii: "\n"))
    }

    /// Writes the header lines and the blank line after them.
    consuming func write(to exchange: Exchange) {
        endLine()
        exchange.write(bytes)
    }

    private static func reason(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 402: "Payment Required"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 409: "Conflict"
        case 413: "Content Too Large"
        case 415: "Unsupported Media Type"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 500: "Internal Server Error"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        default: "Status"
        }
    }
}

extension AnswerHead {
    /// The head of an answer to a caller, with what is known of the request so far.
    init(status: Int, contentType: String, context: borrowing WorkflowContext) {
        self.init(status: status, contentType: contentType)
        context.trace.withUTF8 { add("x-request-id", text: $0) }
        add("openai-processing-ms", String(context.startedAt.elapsedNanoseconds / 1_000_000))
        for report in context.sections.quotaCheck?.limits ?? [] { add(report) }
        if let billing = context.sections.billing, billing.isDurable {
            billing.charge.withUTF8 { add("x-tollgate-cost", text: $0) }
            billing.balanceAfter?.withUTF8 { add("x-tollgate-balance", text: $0) }
        } else if let quota = context.sections.quotaCheck, !quota.isEnded {
            quota.hold.held.balanceAfter.withUTF8 { add("x-tollgate-balance", text: $0) }
        }
    }
}

/// Answers a request with an error in the client's dialect.
enum ErrorAnswer {
    /// Writes the error as the whole answer.
    static func write(_ error: GatewayError, to exchange: Exchange, trace: TraceID) {
        let body = error.client.body
        var head = AnswerHead(status: error.status, contentType: "application/json")
        head.add("x-request-id", trace.description)
        head.add("Content-Length", String(body.count))
        if let seconds = error.retryAfterSeconds { head.add("Retry-After", String(seconds)) }
        if let shouldRetry = error.shouldRetry { head.add("x-should-retry", String(shouldRetry)) }
        for report in error.limits { head.add(report) }
        if error.status == 405 { head.add("Allow", error.detail) }
        if error.status == 401 { head.add("WWW-Authenticate", "Bearer") }
        head.write(to: exchange)
        exchange.write(body)
    }
}
