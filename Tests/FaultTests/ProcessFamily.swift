import Foundation
import Glibc

/// A process and its children, by what the kernel tells of them.
enum ProcessFamily {
    /// The process and all its children.
    static func members(of pid: Int32) -> [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        let children = names.compactMap { Int32($0) }.filter { field("PPid", of: $0) == Int(pid) }
        return [pid] + children
    }

    /// Sends all of them a signal.
    static func send(_ signal: Int32, to members: [Int32]) {
        for member in members { kill(member, signal) }
    }

    /// How many threads a process has.
    static func threads(of pid: Int32) -> Int { field("Threads", of: pid) ?? 0 }

    private static func field(_ name: String, of pid: Int32) -> Int? {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8) else {
            return nil
        }
        let line = text.split(separator: "\n").first { $0.hasPrefix(name + ":") }
        return line.flatMap { Int($0.dropFirst(name.count + 1).filter(\.isNumber)) }
    }
}
