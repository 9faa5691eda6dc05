import Core
import Foundation
import Gateway
import Glibc
import PrivateServers
import Synchronization
import TestSupport
import TestTools
import Testing
import Threads

extension FaultRows {
    /// Row 33: the clock of a host jumps.
    @Suite(.serialized) struct ClockRows {
        /// Debian's package `faketime`; it moves the wall clock of a program by what stands in a file.
        private static let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"

        private static func write(_ seconds: Int64, to path: String) throws {
            // In one piece: the programs read it once a second.
            try Data("\(seconds >= 0 ? "+" : "")\(seconds)s\n".utf8).write(
                to: URL(fileURLWithPath: path), options: .atomic)
        }

        @Test func `row 33: the wall clock jumps back and forth, and over the end of the month`() throws {
            let directory = try TemporaryDirectory()
            let path = directory.path + "/offset"
            try #require(FileManager.default.fileExists(atPath: Self.library), "apt-get install faketime")
            try Self.write(0, to: path)
            let gateway = try FaultScene.makeGateway(environment: [
                "LD_PRELOAD": Self.library, "FAKETIME_TIMESTAMP_FILE": path, "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
            ])
            defer { Self.removeLeftovers() }
            let scene = try FaultScene(gateway, orders: FaultOrder.slow, keeping: directory)
            let now = Int64(Date().timeIntervalSince1970)
            let toMonthEnd = Self.monthEnd(after: now + 3_600) - now - 4
            let report = try scene.run(
                "33", "clock jumps by an hour, over the month's end",
                clockOffsets: [
                    -3_600_000, 3_600_000, 7_200_000, toMonthEnd * 1_000, (toMonthEnd - 3_600) * 1_000,
                ]
            ) { scene in
                for jump in [-3_600, 3_600, toMonthEnd] {
                    try Self.write(jump, to: path)
                    scene.pass(scene.form.fault)
                }
                // Past the four seconds, whatever the machine is busy with.
                scene.pass(6_000)
            }
            report.expectErrors(only: [])
            try gateway.processes()[0]?.terminate(until: .after(seconds: 20))
            let days = Set(report.evidence.rows.map(\.day))
            #expect(Set(days.map { $0 / 100 }).count == 2, "the load has not passed the month's end: \(days)")
            let ahead = report.evidence.rows.filter {
                $0.trace.unixMilliseconds / 1_000 > now + toMonthEnd - 60
            }
            #expect(ahead.count > scene.form.clients, "the clock has not jumped")
        }

        /// Removes what the library leaves in shared memory when a program ends without its exit handlers.
        private static func removeLeftovers() {
            let directory = "/dev/shm/"
            for name in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? [] {
                let isItsOwn = name.hasPrefix("faketime_shm_") || name.hasPrefix("sem.faketime_sem_")
                // The name ends with the process, which others may still run.
                guard isItsOwn, let process = name.split(separator: "_").last.flatMap({ Int32($0) }) else {
                    continue
                }
                if kill(process, 0) != 0, errno == ESRCH { unlink(directory + name) }
            }
        }

        /// The first second of the month after the one in which a moment lies, in UTC.
        private static func monthEnd(after seconds: Int64) -> Int64 {
            var day = seconds / 86_400 * 86_400
            let month = Period(unixSeconds: day, offsetSeconds: 0).month
            while Period(unixSeconds: day, offsetSeconds: 0).month == month { day += 86_400 }
            return day
        }
    }
}
