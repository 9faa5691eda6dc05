import FastCGI
import Foundation
import Gateway
import Glibc
import HTTPClient
import Ledger
import Postgres
import Settlement
import Threads

/// The machine that this runs on.
struct HostChecks {
    private let place: DoctorPlace
    private let stores: StoreChecks
    private let environment: [String: String]

    private static let mebibyte: UInt64 = 1 << 20
    private static let failBelow = 256 * mebibyte
    private static let warnBelow = 2_048 * mebibyte

    init(_ place: DoctorPlace, _ stores: StoreChecks, _ environment: [String: String]) {
        self.place = place
        self.stores = stores
        self.environment = environment
    }

    func findings() -> [Finding] { disks() + [descriptors(), certificates()] }

    // MARK: - Disks

    private func disks() -> [Finding] {
        var seen: Set<UInt> = []
        return place.directories.compactMap { path in
            var entry = stat()
            var disk = statvfs()
            // One line a file system; what is not on this machine is not looked at.
            guard stat(path, &entry) == 0, seen.insert(UInt(entry.st_dev)).inserted, statvfs(path, &disk) == 0
            else { return nil }
            return Self.finding(path, freeBytes: UInt64(disk.f_bavail) * UInt64(disk.f_frsize), disk)
        }
    }

    private static func finding(_ path: String, freeBytes: UInt64, _ disk: statvfs) -> Finding {
        let text = "\(path) has \(freeBytes / mebibyte) MiB free"
        let advice = "make room: PostgreSQL stops when its disk is full"
        if freeBytes < failBelow { return .fail("disk", text, advice) }
        if freeBytes < warnBelow { return .warn("disk", text, advice) }
        if disk.f_files > 0, disk.f_favail < disk.f_files / 50 {
            return .warn("disk", "\(path) has \(disk.f_favail) of \(disk.f_files) inodes left", advice)
        }
        return .ok("disk", text)
    }

    // MARK: - Descriptors

    /// A running tollgated's limit; without one this shell's, which is what a tollgated started here would get.
    private func descriptors() -> Finding {
        var workersMax = 1_024
        // Mistakes in the settings have been told.
        if let configuration = try? Configuration(environment: environment) {
            workersMax = configuration.responder.workersMax
        }
        // One from nginx, one to the provider, two with which libcurl wakes itself, one for the name; and what does not grow.
        let needed = workersMax * 5 + 256
        let running = runningLimits()
        let limit = running.min() ?? DescriptorLimit.raise()
        let whose = running.isEmpty ? "this shell" : "tollgated"
        guard limit >= needed else {
            return .warn(
                "descriptors", "\(whose) may have \(limit) open; \(workersMax) workers may need \(needed)",
                "raise LimitNOFILE (or ulimit -n), or lower TOLLGATE_WORKERS_MAX")
        }
        return .ok("descriptors", "\(whose) may have \(limit) open")
    }

    private func runningLimits() -> [Int] {
        // That PostgreSQL does not answer has been told.
        let owners = (try? stores.money.ledger.livingOwners()) ?? []
        return owners.filter { $0.host == LocalProcess.host }.compactMap { owner in
            guard LocalProcess.isRunning(pid: owner.pid, start: owner.processStart),
                let text = FileManager.default.contents(atPath: "/proc/\(owner.pid)/limits")
            else { return nil }
            let line = String(decoding: text, as: UTF8.self).split(separator: "\n")
                .first { $0.hasPrefix("Max open files") }
            return line.flatMap { Int($0.split(separator: " ").dropFirst(3).first ?? "") }
        }
    }

    private func certificates() -> Finding {
        let path = HTTPTransport.Configuration().caFile
        guard access(path, R_OK) == 0 else {
            return .fail(
                "certificates", "\(path) cannot be read: no provider's certificate can be checked",
                "apt-get install ca-certificates")
        }
        return .ok("certificates", "authorities are known")
    }
}
