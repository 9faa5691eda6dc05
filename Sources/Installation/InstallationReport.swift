import Foundation
import Glibc
import PrivateServers
import Threads

/// What runs at the moment, as the supervisor writes it down for `tollgate status`.
struct InstallationReport: Codable {
    struct PartReport: Codable {
        let name: String
        let pid: Int32?
        let restarts: Int
    }

    let port: UInt16
    let adminPort: UInt16
    let simulatorPort: UInt16?
    let startedAt: Int64
    let databaseDirectory: String
    let parts: [PartReport]

    func write(to path: String) throws(InstallationError) {
        // It cannot fail, as the next line says.
        guard let data = try? JSONEncoder().encode(self) else {
            preconditionFailure("strings and numbers that JSON cannot hold")
        }
        try SystemCalls.write(String(decoding: data, as: UTF8.self), to: path, mode: 0o644)
    }

    static func read(_ path: String) -> InstallationReport? {
        guard let text = SystemCalls.read(path) else { return nil }
        // A supervisor of another version may have written it: as good as none.
        return try? JSONDecoder().decode(Self.self, from: Data(text.utf8))
    }
}

/// What `tollgate status` tells about an installation.
package struct InstallationStatus: Sendable, Encodable {
    /// One process.
    package struct PartStatus: Sendable, Encodable {
        /// What it is.
        package let name: String
        /// Its process; nil while it is being started again.
        package let pid: Int32?
        /// The version of a program that is not ours.
        package let version: String?
        /// How often it ended and was started again.
        package let restarts: Int
    }

    /// Where the installation lies.
    package let directory: String
    /// Whether a supervisor runs it.
    package let isRunning: Bool
    /// The supervisor.
    package var pid: Int32?
    /// Whether a request would be served.
    package var isReady = false
    /// Why it would not.
    package var reason: String?
    /// Seconds since 1970 when it was started.
    package var startedAt: Int64?
    /// The public address.
    package var url: String?
    /// The admin address.
    package var adminURL: String?
    /// Where PostgreSQL keeps its data.
    package var databaseDirectory: String?
    /// What runs.
    package var parts: [PartStatus] = []

    /// Looks at an installation.
    package init(of layout: InstallationLayout) {
        directory = layout.directory
        guard let holder = InstallationLock.holder(of: layout) else {
            isRunning = false
            reason = "nothing runs"
            return
        }
        isRunning = true
        pid = holder
        guard let report = InstallationReport.read(layout.reportPath) else {
            reason = "it is starting or stopping"
            return
        }
        startedAt = report.startedAt
        url = "http://127.0.0.1:\(report.port)"
        adminURL = "http://127.0.0.1:\(report.adminPort)"
        databaseDirectory = report.databaseDirectory
        parts = report.parts.map { part in
            PartStatus(
                name: part.name, pid: part.pid,
                version: part.pid.flatMap { Self.version(of: part.name, pid: $0) },
                restarts: part.restarts)
        }
        (isReady, reason) = Self.readiness(port: report.port, adminPort: report.adminPort)
    }

    /// Asks the gateway itself, through nginx; when it is not ready, the admin server says why.
    static func readiness(port: UInt16, adminPort: UInt16) -> (isReady: Bool, reason: String?) {
        guard let answer = ListenPort.get("/readyz", port: port, until: .after(seconds: 5)) else {
            return (false, "nginx does not answer on port \(port)")
        }
        if answer.status == 200 { return (true, nil) }
        let told = ListenPort.get("/readyz", port: adminPort, until: .after(seconds: 5)) ?? answer
        let body = told.body.trimmingCharacters(in: .whitespacesAndNewlines).prefix(500)
        return (false, "/readyz answers \(answer.status): \(body)")
    }

    /// Asks a server's own program file for its version.
    private static func version(of name: String, pid: Int32) -> String? {
        guard ["postgres", "redis", "nginx"].contains(name), let path = realpath("/proc/\(pid)/exe", nil)
        else {
            return nil
        }
        defer { free(path) }
        // A version that cannot be told is left out.
        guard
            let output = try? ChildProcess.run(
                [String(cString: path), name == "nginx" ? "-v" : "--version"], until: .after(seconds: 5))
        else { return nil }
        return output.firstMatch(of: /\d+\.\d+(\.\d+)?/).map { String($0.output.0) }
    }
}
