import ArgumentParser
import Foundation
import Installation

/// `tollgate status`: what runs of a private installation.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show what runs of the private installation, and whether it is ready.",
        discussion: "Exit status: 0 when ready, 1 when it runs and is not ready, 3 when nothing runs.")

    @OptionGroup var place: InstallationPlace

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let status: InstallationStatus
        do throws(InstallationError) {
            status = InstallationStatus(of: try InstallationLayout(directory: place.dir))
        } catch {
            FileHandle.standardError.write(Data("tollgate status: \(error)\n".utf8))
            throw ExitCode.failure
        }
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            print(String(decoding: try encoder.encode(status), as: UTF8.self))
        } else {
            print(Self.text(status))
        }
        guard status.isRunning else { throw ExitCode(3) }
        guard status.isReady else { throw ExitCode.failure }
    }

    private static func text(_ status: InstallationStatus) -> String {
        guard status.isRunning else { return "Nothing runs in \(status.directory)." }
        var lines = ["\(status.isReady ? "Ready" : "Not ready") in \(status.directory)"]
        if let reason = status.reason { lines.append("  because    \(reason)") }
        if let url = status.url { lines.append("  address    \(url)/v1") }
        if let adminURL = status.adminURL { lines.append("  admin      \(adminURL)") }
        if let place = status.databaseDirectory { lines.append("  database   \(place)") }
        if let pid = status.pid { lines.append("  process    \(pid)") }
        for part in status.parts {
            let name = part.name.padding(toLength: 12, withPad: " ", startingAt: 0)
            let version = part.version.map { ", \($0)" } ?? ""
            let restarts = part.restarts == 0 ? "" : ", started again \(part.restarts) times"
            lines.append(
                "  \(name) \(part.pid.map { "process \($0)" } ?? "starting again")\(version)\(restarts)")
        }
        return lines.joined(separator: "\n")
    }
}
