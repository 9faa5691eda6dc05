import Core
import Foundation
import Glibc
import TestSupport
import TestTools
import Threads

/// Who asks: a tenant with one of its keys.
struct FaultCaller: Sendable {
    let tenant: TenantID
    let key: String
    /// Whether this tenant has so little that refusals are what it must expect.
    let isLimited: Bool

    /// The key's name in the ledger.
    var keyID: String { key.split(separator: "_").dropFirst().first.map { String($0) } ?? "" }
}

/// What one request asks for.
struct FaultOrder: Sendable {
    var model = "sim-ok"
    var isStream = false
    var words = 4
    var maxTokens = 64
    /// Whether its client leaves after the first piece of the answer.
    var leaves = false
    /// The key under which it may be sent again.
    var idempotencyKey: String?

    /// The body.
    var body: String {
        let text = String(repeating: "word ", count: words)
        return #"{"model":"\#(model)","max_tokens":\#(maxTokens),"stream":\#(isStream),"#
            + #""messages":[{"role":"user","content":"\#(text)"}]}"#
    }

    /// The n-th order of a load: plain and streamed, fast and slow, some that fail and some whose client leaves.
    static func mixed(_ number: Int) -> FaultOrder {
        var order = FaultOrder(
            isStream: number % 2 == 0, words: 1 + number % 29, maxTokens: 4 + number % 13)
        switch number % 40 {
        case 3, 16, 22, 30:
            (order.model, order.isStream, order.maxTokens) = ("sim-slow", true, 64)
        case 7: order.model = "sim-500"
        case 12: (order.model, order.isStream) = ("sim-cut", true)
        case 26: (order.model, order.isStream, order.maxTokens, order.leaves) = ("sim-slow", true, 64, true)
        default: break
        }
        return order
    }

    /// Slow streams among fast requests.
    static func slow(_ number: Int) -> FaultOrder {
        number % 3 == 0 ? mixed(number) : FaultOrder(model: "sim-slow", isStream: true)
    }
}

/// One request as its client saw it: a line of the client's log.
struct FaultAnswer: Sendable {
    let order: FaultOrder
    let tenant: TenantID
    let keyID: String
    let isLimited: Bool
    let began: Deadline
    /// Until the end of the answer.
    var milliseconds: Int64 = 0
    /// How long the answer's body was coming.
    var flowMilliseconds: Int64 = 0
    /// 0 without an answer.
    var status = 0
    /// The request's name, when the gateway answered it.
    var trace: TraceID?
    /// The cost that a plain answer tells.
    var cost: String?
    /// The error code of a refusal.
    var code: String?
    var bodyBytes = 0
    /// Pieces of a stream's text that came.
    var pieces = 0
    /// Whether the whole answer came, with what ends it.
    var isFinal = false
    /// Whether it is the answer of an earlier request, given again.
    var isReplayed = false

    /// Whether it is what the same request gets without any fault.
    var isAsUsual: Bool {
        switch order.model {
        case "sim-500" where status == 502 && trace != nil: true
        case "sim-cut" where status == 200 && pieces > 0: true
        default: isFinal || isRefusal || (order.leaves && status == 200 && pieces > 0)
        }
    }

    /// Whether it was refused for want of money or quota, as this tenant must expect.
    var isRefusal: Bool { isLimited && (status == 402 || status == 429) && trace != nil }

    /// The word for an error in the table.
    var label: String {
        switch (status, trace) {
        case (0, _): "none"
        case (200, _): "cut"
        case (_, nil): "\(status) (nginx)"
        default: "\(status)"
        }
    }
}

/// A client that sends one request on a connection of its own.
enum FaultClient {
    private static let patienceSeconds = 90

    /// Asks, and writes down what comes.
    static func ask(_ order: FaultOrder, _ caller: FaultCaller, at url: String) -> FaultAnswer {
        var answer = FaultAnswer(order, caller)
        let port = url.split(separator: ":").last.flatMap { UInt16($0) } ?? 0
        guard let descriptor = TestSocket.connect(port: port, timeoutSeconds: patienceSeconds) else {
            return answer
        }
        defer { close(descriptor) }
        let body = order.body
        let keyLine = order.idempotencyKey.map { "Idempotency-Key: \($0)\r\n" } ?? ""
        // HTTP/1.0: the end of the connection is the end of the answer.
        TestSocket.send(
            Array(
                ("POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer \(caller.key)\r\n"
                    + "Content-Type: application/json\r\n\(keyLine)Content-Length: \(body.utf8.count)\r\n\r\n"
                    + body)
                    .utf8), on: descriptor)
        read(descriptor, into: &answer)
        answer.milliseconds = answer.began.elapsedNanoseconds / 1_000_000
        return answer
    }

    private static func read(_ descriptor: Int32, into answer: inout FaultAnswer) {
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        var flowing: Deadline?
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            received += buffer[..<count]
            // The first piece has come when the head has, and hardly anything more.
            if flowing == nil, received.count > 512 { flowing = .now }
            if answer.order.leaves, received.count > 1_200 { break }
        }
        answer.flowMilliseconds = (flowing?.elapsedNanoseconds ?? 0) / 1_000_000
        answer.read(TestHTTP.Answer(wire: String(decoding: received, as: UTF8.self)))
    }
}

extension FaultAnswer {
    init(_ order: FaultOrder, _ caller: FaultCaller) {
        self.order = order
        tenant = caller.tenant
        keyID = caller.keyID
        isLimited = caller.isLimited
        began = .now
    }

    /// Takes apart what came.
    mutating func read(_ wire: TestHTTP.Answer) {
        status = wire.status
        trace = wire.headers["x-request-id"].flatMap { TraceID($0) }
        isReplayed = wire.headers["idempotent-replayed"] == "true"
        cost = wire.headers["x-tollgate-cost"]
        bodyBytes = wire.body.utf8.count
        pieces = wire.body.components(separatedBy: #"{"content":""#).count - 1
        code = wire.body.components(separatedBy: #""code":""#).dropFirst().first.map {
            String($0.prefix { $0 != "\"" })
        }
        guard wire.status == 200 else { return }
        if order.isStream {
            isFinal = wire.body.hasSuffix("data: [DONE]\n\n")
        } else {
            let length = wire.headers["content-length"].flatMap { Int($0) } ?? bodyBytes
            isFinal = bodyBytes == length && wire.body.hasSuffix("}") && bodyBytes > 0
        }
    }
}
