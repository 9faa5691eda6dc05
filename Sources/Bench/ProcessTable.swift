import Foundation
import Glibc

/// Processes that are one part of an installation, with all that they started.
package struct ProcessGroup: Sendable {
    /// What the part is called.
    package let name: String
    /// Its processes; their children are found.
    package var pids: [Int32]

    /// Creates a group.
    package init(name: String, pids: [Int32]) {
        self.name = name
        self.pids = pids
    }

    /// Whether it is tollgated, whose memory is looked at.
    var isResponder: Bool { name.hasPrefix("tollgated") }
}

/// Memory of some processes.
package struct MemoryFigures: Sendable, Comparable {
    /// Resident memory; what processes share counts in each of them.
    package var rssKiB: Int64 = 0
    /// Resident memory; what processes share counts once.
    package var pssKiB: Int64 = 0

    package static func < (left: MemoryFigures, right: MemoryFigures) -> Bool { left.pssKiB < right.pssKiB }
}

/// All processes of the machine as `/proc` shows them at one moment.
struct ProcessTable {
    private struct Entry {
        let parent: Int32
        /// Its own time and that of its children that have ended.
        let ticks: Int64
    }

    private let entries: [Int32: Entry]
    private let children: [Int32: [Int32]]
    private static let ticksPerSecond = Int64(sysconf(Int32(_SC_CLK_TCK)))

    init() {
        // Without /proc there is nothing to tell.
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        var entries: [Int32: Entry] = [:]
        for pid in names.compactMap({ Int32($0) }) {
            entries[pid] = Self.entry(pid)
        }
        self.entries = entries
        children = Dictionary(grouping: entries.keys) { entries[$0]?.parent ?? 0 }
    }

    /// The processor time that a group has used since it began.
    func cpuMicroseconds(of group: ProcessGroup) -> Int64 {
        members(of: group).reduce(0) { $0 + (entries[$1]?.ticks ?? 0) } * 1_000_000 / Self.ticksPerSecond
    }

    /// The processor time that the whole machine has used since it began.
    static var machineMicroseconds: Int64 {
        // User, nice, system, idle, waiting, interrupts, soft interrupts.
        let line = text("/proc/stat")?.split(separator: "\n").first ?? ""
        let ticks = line.split(separator: " ").dropFirst().prefix(7).map { Int64($0) ?? 0 }
        return (ticks.reduce(0, +) - ticks.dropFirst(3).prefix(2).reduce(0, +)) * 1_000_000 / ticksPerSecond
    }

    /// The memory of some groups; nil when we may not see it.
    func memory(of groups: [ProcessGroup]) -> MemoryFigures? {
        var sum = MemoryFigures()
        for pid in groups.flatMap({ members(of: $0) }) {
            guard let text = Self.text("/proc/\(pid)/smaps_rollup") else { continue }
            for line in text.split(separator: "\n") {
                let words = line.split(separator: " ")
                guard words.count == 3, let amount = Int64(words[1]) else { continue }
                if words[0] == "Rss:" { sum.rssKiB += amount }
                if words[0] == "Pss:" { sum.pssKiB += amount }
            }
        }
        return sum.rssKiB > 0 ? sum : nil
    }

    private func members(of group: ProcessGroup) -> [Int32] {
        var found: [Int32] = []
        var waiting = group.pids
        while let pid = waiting.popLast() {
            guard entries[pid] != nil, !found.contains(pid) else { continue }
            found.append(pid)
            waiting += children[pid] ?? []
        }
        return found
    }

    private static func entry(_ pid: Int32) -> Entry? {
        // The name, in parentheses, may contain anything; what follows it does not.
        guard let text = text("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 14, let parent = Int32(fields[1]) else { return nil }
        return Entry(parent: parent, ticks: fields[11...14].reduce(0) { $0 + (Int64($1) ?? 0) })
    }

    private static func text(_ path: String) -> String? {
        // A process that has ended meanwhile has no files any more.
        try? String(contentsOfFile: path, encoding: .utf8)
    }
}
