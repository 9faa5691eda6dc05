import Testing

@testable import Gateway

@Suite struct LimitReportTests {
    @Test(arguments: [
        (0, "0s"), (1, "1s"), (59, "59s"), (60, "1m0s"), (61, "1m1s"), (360, "6m0s"), (3_600, "1h0m0s"),
        (3_661, "1h1m1s"), (2_678_400, "744h0m0s"),
    ])
    func `a length of time is written as OpenAI writes it`(seconds: Int, text: String) {
        #expect(LimitReport.duration(seconds: seconds) == text)
    }

    @Test func `what is over its limit leaves nothing, never less`() {
        #expect(LimitReport(.tokens, limit: 10, used: 12, resetSeconds: 1).remaining == 0)
    }
}
