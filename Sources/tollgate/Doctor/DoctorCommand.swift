import ArgumentParser
import Foundation
import Gateway
import Installation
import JSON

/// The command `tollgate doctor`.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Look at everything an installation needs, and say what to do about what is wrong.",
        discussion: """
            It reads and changes nothing. Run it where tollgated runs, with tollgated's environment, as root for all of it. Exit \
            status: 0 when nothing is marked FAIL, otherwise 1.
            """)

    @Option(help: "The public address (default: TOLLGATE_URL, else that of the private installation).")
    var url: String?
    @Option(
        help:
            "The admin address (default: TOLLGATE_ADMIN_URL, else that of the private installation, else port 8081)."
    )
    var adminUrl: String?
    @OptionGroup var output: OutputOptions

    func run() throws {
        let environment = ProcessInfo.processInfo.environment
        var settings = Settings(environment: environment)
        let stores = StoreChecks(StoreConfiguration(&settings))
        let place = DoctorPlace(environment, url: url, adminURL: adminUrl)
        var findings = SettingsChecks.findings(environment)
        findings += stores.findings()
        findings += ServerChecks(place).findings()
        findings += CatalogChecks(stores).findings()
        findings += HostChecks(place, stores, environment).findings()
        if output.json { Self.printJSONReport(findings) } else { Self.printReport(findings) }
        guard !findings.contains(where: { $0.grade == .fail }) else { throw ExitCode.failure }
    }

    private static func printReport(_ findings: [Finding]) {
        let width = findings.map(\.name.count).max() ?? 0
        for finding in findings {
            let grade = finding.grade.rawValue.uppercased().padding(toLength: 4, withPad: " ", startingAt: 0)
            let name = finding.name.padding(toLength: width, withPad: " ", startingAt: 0)
            // What a server said may have several lines.
            let text = finding.text.split(whereSeparator: \.isNewline).joined(separator: "; ")
            print("\(grade)  \(name)  \(text)\(finding.advice.map { ". To do: \($0)" } ?? "")")
        }
    }

    private static func printJSONReport(_ findings: [Finding]) {
        let grades = findings.map(\.grade)
        let worst: Finding.Grade = grades.contains(.fail) ? .fail : grades.contains(.warn) ? .warn : .ok
        let checks = findings.map { finding in
            JSONValue.object([
                JSONMember("name", .string(finding.name)),
                JSONMember("status", .string(finding.grade.rawValue)),
                JSONMember("text", .string(finding.text)), JSONMember("advice", JSONValue(finding.advice)),
            ])
        }
        printJSON([("status", .string(worst.rawValue)), ("checks", .array(checks))])
    }
}

/// Where the servers of the installation are.
struct DoctorPlace {
    /// The FastCGI socket of tollgated.
    let socketPath: String
    /// The public server; nil when nobody said.
    let url: String?
    /// The admin server.
    let adminURL: String
    /// Directories whose disks must not fill up.
    let directories: [String]

    init(_ environment: [String: String], url: String?, adminURL: String?) {
        var found: (layout: InstallationLayout, status: InstallationStatus)?
        // Any path will do: one that is no installation is told apart by nothing running there.
        if let layout = try? InstallationLayout(directory: environment["TOLLGATE_DIR"] ?? ".tollgate") {
            let status = InstallationStatus(of: layout)
            if status.isRunning { found = (layout, status) }
        }
        let privateSocket = found.flatMap { found in
            found.status.pid.map { found.layout.socketPath(run: $0) }
        }
        socketPath = environment["TOLLGATE_SOCKET"] ?? privateSocket ?? "/run/tollgate/fastcgi.sock"
        self.url = url ?? environment["TOLLGATE_URL"] ?? found?.status.url
        self.adminURL =
            adminURL ?? environment["TOLLGATE_ADMIN_URL"] ?? found?.status.adminURL ?? "http://127.0.0.1:8081"
        directories =
            ["/", "/var/log", "/var/lib/postgresql", "/var/lib/redis"]
            + [found?.layout.directory, found?.status.databaseDirectory].compactMap { $0 }
    }
}
