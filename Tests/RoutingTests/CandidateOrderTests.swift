import Core
import Routing
import TestTools
import Testing

@Suite struct CandidateOrderTests {
    private func model(_ id: Int64, priority: Int32 = 100, weight: Int32 = 1) -> ProviderModel {
        ProviderModel(
            id: id, model: "small",
            provider: Provider(
                name: "acme", baseURL: "https://acme.example/v1", credential: "s",
                allowsPrivateAddresses: false),
            upstreamModel: "small", priority: priority, weight: weight, outputTokensMax: 1, bytesPerToken: 1,
            outputCapField: "max_tokens", price: nil)
    }

    private func order(_ models: [ProviderModel], _ random: inout TestRandom) -> [Int64] {
        CandidateOrder.candidates(models, using: &random).map(\.id)
    }

    @Test func `a lower priority is always tried first`() {
        var random = TestRandom(seed: 1)
        let models = [
            model(1, priority: 200, weight: 1_000_000), model(2, priority: -5), model(3, priority: 100),
            model(4, priority: 100, weight: 1_000_000), model(5, priority: 0),
        ]
        for _ in 0..<500 {
            let order = order(models.shuffled(using: &random), &random)
            #expect(order.prefix(2) == [2, 5])
            #expect(Set(order[2..<4]) == [3, 4])
            #expect(order.last == 1)
        }
    }

    @Test func `nobody is lost and nobody comes twice`() {
        var random = TestRandom(seed: 2)
        for count in 0...12 {
            let models = (0..<count).map { index in
                model(
                    Int64(index), priority: Int32.random(in: 0...2, using: &random),
                    weight: Int32.random(in: 1...1_000_000, using: &random))
            }
            #expect(order(models, &random).sorted() == models.map(\.id))
        }
    }

    @Test func `among equals each is first as often as its weight says`() {
        var random = TestRandom(seed: 3)
        let weights: [Int32] = [1, 2, 3, 4]
        let models = weights.enumerated().map { model(Int64($0.offset), weight: $0.element) }
        let rounds = 40_000
        var firsts = [Int](repeating: 0, count: weights.count)
        var seconds = [Int](repeating: 0, count: weights.count)
        for _ in 0..<rounds {
            let order = order(models, &random)
            firsts[Int(order[0])] += 1
            if order[0] == 3 { seconds[Int(order[1])] += 1 }
        }
        // Within five standard deviations, which are at most 100 of 40,000.
        for (weight, first) in zip(weights, firsts) {
            #expect(abs(first - rounds * Int(weight) / 10) < 500, "weight \(weight): \(first)")
        }
        // Behind the heaviest, the others by their weights among themselves: 1, 2, 3 of 6.
        for weight in 1...3 {
            #expect(abs(seconds[weight - 1] - firsts[3] * weight / 6) < 350, "weight \(weight)")
        }
    }

    @Test func `the largest weights do not overflow`() {
        var random = TestRandom(seed: 4)
        let models = (0..<100).map { model(Int64($0), weight: .max) }
        #expect(order(models, &random).count == 100)
    }

    @Test func `the same chance gives the same order`() {
        let models = (0..<20).map { model(Int64($0), priority: Int32($0 % 3), weight: Int32($0 + 1)) }
        var first = TestRandom(seed: 5)
        var second = TestRandom(seed: 5)
        for _ in 0..<100 { #expect(order(models, &first) == order(models, &second)) }
        var other = TestRandom(seed: 6)
        #expect((0..<100).contains { _ in order(models, &first) != order(models, &other) })
    }
}
