import CoreMetrics
import Testing

@testable import Gateway

@Suite struct StepOrderTests {
    private let journal = Journal()

    private func names(_ steps: [any Step]) throws(StepOrderError) -> [String] {
        try StepOrder.sorted(steps).map { "\($0.name)" }
    }

    /// The error's text; nil when there is an order.
    private func mistake(_ steps: [any Step]) -> String? {
        do throws(StepOrderError) {
            _ = try StepOrder.sorted(steps)
            return nil
        } catch {
            return "\(error)"
        }
    }

    private var first: Probe<First> { Probe(journal: journal) }
    private var second: Probe<Second> { Probe(journal: journal) }
    private var third: Probe<Third> { Probe(journal: journal) }
    private var free: Probe<Free> { Probe(journal: journal) }

    @Test func `a list that is in order stays as it is`() throws {
        #expect(try names([]) == [])
        #expect(try names([first, free, second, third]) == ["first", "free", "second", "third"])
        #expect(try names([free, first, second, third]) == ["free", "first", "second", "third"])
    }

    @Test func `a step moves behind what it needs, and no further`() throws {
        #expect(try names([third, second, first]) == ["first", "second", "third"])
        #expect(try names([second, free, first, third]) == ["free", "first", "second", "third"])
    }

    @Test func `every list of the same steps gives an order that all can live with`() throws {
        let steps: [any Step] = [first, second, third, free]
        for _ in 0..<50 {
            let order = try names(steps.shuffled())
            let position = { order.firstIndex(of: $0) ?? -1 }
            #expect(position("first") < position("second") && position("second") < position("third"))
            #expect(order.count == 4)
        }
    }

    @Test func `steps that need each other stop the start, by name`() throws {
        let cycle: [any Step] = [first, Probe<Chicken>(journal: journal), Probe<Egg>(journal: journal)]
        #expect(mistake(cycle) == "these steps need each other: chicken, egg")
        #expect(mistake([Probe<Narcissus>(journal: journal)]) == "these steps need each other: narcissus")
    }

    @Test func `a step behind a cycle is not blamed for it`() throws {
        let steps: [any Step] = [
            Probe<Hatched>(journal: journal), Probe<Chicken>(journal: journal), Probe<Egg>(journal: journal),
        ]
        #expect(mistake(steps) == "these steps need each other: chicken, egg")
    }

    @Test func `a step that is missing stops the start, with the one that needs it`() throws {
        #expect(mistake([second]) == "step 'second' needs 'first', which is not in the workflow")
        #expect(mistake([first, third]) == "step 'third' needs 'second', which is not in the workflow")
    }

    @Test func `two steps of one name stop the start`() throws {
        #expect(mistake([first, Probe<AlsoFirst>(journal: journal)]) == "two steps are named 'first'")
        #expect(mistake([first, first]) == "two steps are named 'first'")
    }

    @Test func `a workflow is not made of a wrong list`() throws {
        #expect(throws: StepOrderError.missing("first", neededBy: "second")) {
            try Workflow([second], last: Probe<Last>(journal: journal), metrics: NOOPMetricsHandler.instance)
        }
    }
}
