import Foundation
import Threads

/// How long and how hard each row is tried.
struct FaultForm: Sendable {
    /// Clients that ask at the same time.
    let clients: Int
    /// How long they ask before the fault, in milliseconds.
    let before: Int
    /// How long a fault lasts that has a length.
    let fault: Int
    /// How long they ask after it.
    let after: Int
    /// How often a fault is repeated that is over at once.
    let times: Int

    /// Some seconds a row: for every run of the whole suite.
    static let short = FaultForm(clients: 24, before: 1_200, fault: 3_000, after: 2_000, times: 3)
    /// `./tollgate test --faults`.
    static let full = FaultForm(clients: 100, before: 8_000, fault: 10_000, after: 12_000, times: 8)

    /// The form of this run: `TOLLGATE_TEST_FAULTS` is `full` or not.
    static let current: FaultForm =
        ProcessInfo.processInfo.environment["TOLLGATE_TEST_FAULTS"] == "full" ? .full : .short
}

/// The table of all rows: requests, errors, drift.
enum FaultTable {
    private static let rows = Locked<[String: String]>([:])
    private static let widths = [-5, -44, 9, 9, 9, 12, -1]
    private static let head = line([
        "row", "fault", "requests", "answered", "refused", "drift (n$)", "errors",
    ])

    /// Adds a line, and prints it; the whole table goes into a file when `TOLLGATE_FAULT_TABLE` names one.
    static func add(_ cells: [String]) {
        rows.withLock { rows in
            if rows.isEmpty { print(head) }
            rows[cells[0]] = line(cells)
            print(line(cells))
            guard let path = ProcessInfo.processInfo.environment["TOLLGATE_FAULT_TABLE"] else { return }
            let sorted = rows.sorted { $0.key.compare($1.key, options: .numeric) == .orderedAscending }
            let text = ([head] + sorted.map(\.value)).joined(separator: "\n") + "\n"
            // Without the file the table is still in the output.
            try? Data(text.utf8).write(to: URL(fileURLWithPath: path))
        }
    }

    private static func line(_ cells: [String]) -> String {
        zip(cells, widths).map { cell, width in
            let blanks = String(repeating: " ", count: max(0, abs(width) - cell.count))
            return width < 0 ? cell + blanks : blanks + cell
        }.joined(separator: "  ")
    }
}
