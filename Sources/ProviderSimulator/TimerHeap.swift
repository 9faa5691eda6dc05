import Threads

/// Wake-up times of connections, the earliest first.
struct TimerHeap {
    private struct Entry {
        let due: Deadline
        let serial: UInt64
    }

    private var entries: [Entry] = []

    /// The earliest wake-up time.
    var earliest: Deadline? { entries.first?.due }

    /// Adds a wake-up.
    mutating func insert(_ serial: UInt64, due: Deadline) {
        entries.append(Entry(due: due, serial: serial))
        var child = entries.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard entries[child].due < entries[parent].due else { return }
            entries.swapAt(child, parent)
            child = parent
        }
    }

    /// Takes out the earliest wake-up if its time has come.
    mutating func popDue(at now: Deadline) -> UInt64? {
        guard let first = entries.first, first.due <= now else { return nil }
        entries.swapAt(0, entries.count - 1)
        entries.removeLast()
        var parent = 0
        while true {
            let left = parent * 2 + 1
            guard left < entries.count else { break }
            let right = left + 1
            let child = right < entries.count && entries[right].due < entries[left].due ? right : left
            guard entries[child].due < entries[parent].due else { break }
            entries.swapAt(child, parent)
            parent = child
        }
        return first.serial
    }
}
