import Core
import Foundation
import TestTools
import Testing

@Suite struct TraceIDTests {
    private func ids(_ count: Int, seed: UInt64) -> [TraceID] {
        var random = TestRandom(seed: seed)
        return (0..<count).map { _ in
            TraceID(
                unixMilliseconds: Int64(random.next() >> 16), random: (random.next(), random.next()))
        }
    }

    @Test func `an id is written and read back as it was, in either case`() {
        for id in ids(5_000, seed: 1) {
            #expect(TraceID(id.description) == id)
            #expect(TraceID(id.description.uppercased()) == id)
            #expect(id.description == id.description.lowercased())
        }
    }

    @Test func `an id is a UUID of version 7 as others read it`() throws {
        for id in ids(1_000, seed: 2) {
            let bytes = try #require(UUID(uuidString: id.description)).uuid
            #expect(bytes.6 >> 4 == 7)
            #expect(bytes.8 >> 6 == 0b10)
            let time = [bytes.0, bytes.1, bytes.2, bytes.3, bytes.4, bytes.5].reduce(Int64(0)) {
                $0 << 8 | Int64($1)
            }
            #expect(time == id.unixMilliseconds)
        }
    }

    @Test func `an id keeps the time it was made`() {
        for time in [0, 1, 1_700_000_000_123, 4_102_444_800_000, (1 << 48) - 1] as [Int64] {
            #expect(TraceID(unixMilliseconds: time, random: (.max, .max)).unixMilliseconds == time)
            #expect(TraceID(lowestAtUnixMilliseconds: time).unixMilliseconds == time)
        }
    }

    @Test func `ids sort by time, and as their texts do`() {
        let ids = ids(2_000, seed: 3).sorted()
        for (earlier, later) in zip(ids, ids.dropFirst()) {
            #expect(earlier.unixMilliseconds <= later.unixMilliseconds)
            #expect(earlier.description < later.description)
        }
        let low = TraceID(unixMilliseconds: 5, random: (0, 1))
        let high = TraceID(unixMilliseconds: 5, random: (0, 2))
        #expect(low < high)
    }

    @Test func `the lowest id of a moment is below all of that moment and above all before it`() {
        let time: Int64 = 1_700_000_000_000
        let lowest = TraceID(lowestAtUnixMilliseconds: time)
        #expect(lowest < TraceID(unixMilliseconds: time, random: (0, 0)))
        #expect(TraceID(unixMilliseconds: time - 1, random: (.max, .max)) < lowest)
        #expect(lowest.description == "018bcfe5-6800-0000-0000-000000000000")
    }

    @Test func `all 74 random bits are kept`() {
        let none = TraceID(unixMilliseconds: 0, random: (0, 0))
        let all = TraceID(unixMilliseconds: 0, random: (.max, .max))
        let differing = (none.high ^ all.high).nonzeroBitCount + (none.low ^ all.low).nonzeroBitCount
        #expect(differing == 74)
    }

    @Test(arguments: [
        "", "018bcfe5", "018bcfe5-6800-7000-8000-00000000000", "018bcfe5-6800-7000-8000-0000000000000",
        "018bcfe568007000800000000000000000000", "018bcfe5-6800-7000-8000-00000000000g",
        "018bcfe5+6800-7000-8000-000000000000", "-018bcfe56800-7000-8000-000000000000",
        "{18bcfe5-6800-7000-8000-00000000000}", "018bcfe5-6800-7000-8000-0000000000é",
        "018bcfe5-6800-7000-8000 000000000000",
        "018bcfe5-6800-7000-8000-00000000000\u{0}",
    ])
    func `a text that is no id is none`(text: String) {
        #expect(TraceID(text) == nil)
    }
}
