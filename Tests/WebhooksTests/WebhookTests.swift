import JSON
import TestSupport
import TestTools
import Testing
import Webhooks

@Suite struct WebhookTests {
    @Test func `a signature is the one that Standard Webhooks' own example has`() throws {
        let secret = try #require(WebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
        let signature = secret.signature(
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek", unixSeconds: 1_614_265_330, body: #"{"test": 2432232314}"#)
        #expect(signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    }

    @Test(arguments: [
        "", "\n", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=",
        "whsec_not base64 at all, and long!", "whsec_" + String(repeating: "A", count: 88),
    ])
    func `a secret of another form is none`(text: String) {
        #expect(WebhookSecret(text) == nil)
    }

    @Test func `blanks around a secret do not belong to it`() {
        #expect(WebhookSecret("  whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n") != nil)
    }

    @Test func `an event's body says what, when and about whom, and its id has no dots`() throws {
        let event = WebhookEvent(
            .budgetWarning, about: "a.b:key:total", unixSeconds: 1_750_000_000,
            data: [("used", .string("4.500000000"))])
        #expect(event.id == "budget-warning:a/b:key:total")
        let body = try JSONValue(parsing: Array(event.body.utf8))
        #expect(body["id"]?.stringValue == event.id && body["type"]?.stringValue == "budget.warning")
        #expect(body["created"]?.stringValue == "2025-06-15T15:06:40Z")
        #expect(body["data"]?["used"]?.stringValue == "4.500000000")
    }

    @Test func `a sent event is signed, and any 2xx is its end`() throws {
        let receiver = try WebhookReceiver()
        for status in [200, 204, 299] {
            receiver.behave(.answer(status))
            #expect(receiver.sender().send(id: "an-id", body: #"{"a":1}"#) == .accepted, "\(status)")
        }
        #expect(receiver.deliveries.allSatisfy { $0.isSigned && $0.id == "an-id" && $0.body == #"{"a":1}"# })
        #expect(receiver.deliveries.count == 3)
    }

    @Test(arguments: [301, 400, 404, 429, 500])
    func `any other answer is a refusal, and nothing is followed`(status: Int) throws {
        let receiver = try WebhookReceiver()
        receiver.behave(.answer(status))
        #expect(
            receiver.sender().send(id: "an-id", body: "{}") == .refused("the receiver answered \(status)"))
        #expect(receiver.deliveries.count == 1)
    }

    @Test(arguments: [WebhookReceiver.Behaviour.hangUp, .wait])
    func `a receiver that takes an event and says nothing is silent`(behaviour: WebhookReceiver.Behaviour)
        throws
    {
        let receiver = try WebhookReceiver()
        receiver.behave(behaviour)
        let outcome = receiver.sender(milliseconds: behaviour == .wait ? 1_000 : 10_000)
            .send(id: "an-id", body: "{}")
        guard case .silent = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(receiver.deliveries.count == 1)
    }

    @Test func `a receiver that is not there is silent`() throws {
        let receiver = try WebhookReceiver()
        receiver.stop()
        let isSilent = Eventually.holds {
            if case .silent = receiver.sender().send(id: "an-id", body: "{}") { true } else { false }
        }
        #expect(isSilent)
    }
}
