import Synchronization

/// How much went through batches, and through how many.
package struct BatchFigures: Sendable, Equatable {
    /// Batches that were run.
    package var batches: Int64 = 0
    /// Items in all of them.
    package var items: Int64 = 0
    /// Items in the largest.
    package var itemsLargest: Int64 = 0

    /// Creates the figures of no batch.
    package init() {}

    /// The figures of several lanes together.
    package static func + (left: BatchFigures, right: BatchFigures) -> BatchFigures {
        var sum = left
        sum.batches += right.batches
        sum.items += right.items
        sum.itemsLargest = max(left.itemsLargest, right.itemsLargest)
        return sum
    }
}

/// Counts batches; any thread adds and reads.
package final class BatchCount: Sendable {
    private let batches = Atomic<Int64>(0)
    private let items = Atomic<Int64>(0)
    private let itemsLargest = Atomic<Int64>(0)

    /// Creates a count of nothing.
    package init() {}

    /// Counts one batch.
    package func add(items count: Int) {
        batches.add(1, ordering: .relaxed)
        items.add(Int64(count), ordering: .relaxed)
        itemsLargest.max(Int64(count), ordering: .relaxed)
    }

    /// What was counted so far.
    package var figures: BatchFigures {
        var figures = BatchFigures()
        figures.batches = batches.load(ordering: .relaxed)
        figures.items = items.load(ordering: .relaxed)
        figures.itemsLargest = itemsLargest.load(ordering: .relaxed)
        return figures
    }
}
