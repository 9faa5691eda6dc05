import Synchronization
import Threads

/// A number that several threads raise.
final class Counter: Sendable {
    private let number = Atomic<Int>(0)

    var value: Int { number.load(ordering: .sequentiallyConsistent) }

    @discardableResult
    func add(_ count: Int = 1) -> Int {
        number.add(count, ordering: .sequentiallyConsistent).newValue
    }
}
