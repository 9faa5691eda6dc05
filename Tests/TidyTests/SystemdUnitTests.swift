import Foundation
import PrivateServers
import Testing

private let systemdAnalyze = "/usr/bin/systemd-analyze"

/// The units under `systemd`: without mistakes, and with little left to attack.
@Suite struct SystemdUnitTests {
    /// Each job and how often it runs, as its timer says.
    private static let jobs = [
        "sweep": "30s", "quota-sync": "5min", "apikey-sync": "10min", "rollup": "10min", "consistency": "1h",
        "prune": "1d", "outbox": "10s",
    ]
    /// The one that calls somebody outside.
    private static let calling = "outbox"

    @Test func `systemd finds nothing wrong with the units`() throws {
        let directory = try TemporaryDirectory()
        let programs = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
            .deletingLastPathComponent().path
        var copies: [String] = []
        for path in Checkout.paths("systemd", ending: "") {
            // The programs are not installed here, but built beside this test.
            let unit = Checkout.text(path).replacing("=/usr/local/bin/", with: "=\(programs)/")
            let copy = directory.path + "/" + (path.split(separator: "/").last ?? "")
            try Data(unit.utf8).write(to: URL(fileURLWithPath: copy))
            copies.append(copy)
        }
        #expect(copies.count == 2 + 2 * Self.jobs.count)
        #expect(try ChildProcess.run([systemdAnalyze, "verify", "--man=no"] + copies) == "")
    }

    @Test func `every instance of tollgated is given the one socket, and a connection starts the first`() {
        let service = Checkout.text("systemd/tollgated@.service").split(separator: "\n")
        let socket = Checkout.text("systemd/tollgated.socket").split(separator: "\n")
        #expect(service.contains("Sockets=tollgated.socket"))
        #expect(service.contains("Requires=tollgated.socket"))
        #expect(socket.contains("Service=tollgated@1.service"))
        // Its end would take the directory from the others.
        #expect(service.contains("RuntimeDirectoryPreserve=yes"))
    }

    @Test(
        arguments: [("tollgated@.service", 1.2)]
            + jobs.keys.sorted().map { ("tollgate-\($0).service", $0 == calling ? 1.2 : 0.5) })
    func `little is left to attack`(unit: String, exposureMax: Double) throws {
        let path = Checkout.root + "/systemd/" + unit
        let report = try ChildProcess.run([systemdAnalyze, "security", "--offline=true", "--no-pager", path])
        let line = try #require(report.split(separator: "\n").last { $0.contains("Overall exposure level") })
        let figure = line.split(separator: ":").last?.split(separator: " ").first.flatMap { Double($0) }
        #expect(try #require(figure) <= exposureMax, "\(report)")
    }

    @Test func `the sweep runs as the user of tollgated, or it could not see whether that is alive`() {
        let user = { (unit: String) in
            Checkout.text("systemd/" + unit).split(separator: "\n").filter {
                $0.hasPrefix("User=") || $0.hasPrefix("ProcSubset=")
            }
        }
        #expect(user("tollgated@.service") == ["User=tollgate"])
        #expect(user("tollgate-sweep.service") == ["User=tollgate"])
    }

    @Test(arguments: jobs.keys.sorted())
    func `each job has a service that runs it and a timer with its period`(job: String) throws {
        let service = Checkout.text("systemd/tollgate-\(job).service").split(separator: "\n")
        let timer = Checkout.text("systemd/tollgate-\(job).timer").split(separator: "\n")
        #expect(service.contains("ExecStart=/usr/local/bin/tollgate job \(job)"))
        let families = job == Self.calling ? "AF_UNIX AF_INET AF_INET6" : "AF_UNIX"
        #expect(service.contains("RestrictAddressFamilies=\(families)") && service.contains("User=tollgate"))
        #expect(timer.contains("OnUnitActiveSec=\(try #require(Self.jobs[job]))"))
    }

    @Test(arguments: ["tollgated@.service", "tollgate-outbox.service"])
    func `who sends events is given the webhook's secret, if there is one`(unit: String) {
        let service = Checkout.text("systemd/" + unit).split(separator: "\n")
        #expect(service.contains("LoadCredential=webhook-secret:/etc/tollgate/webhook-secret"))
        // Without it systemd would not start the unit where the file is not there.
        #expect(service.contains("SetCredential=webhook-secret:none"))
    }

    @Test func `tollgate up runs the jobs of the timers, as often`() {
        let schedule = Checkout.text("Sources/Installation/JobSchedule.swift")
        let units = ["s": 1, "min": 60, "h": 3_600, "d": 86_400]
        for (job, period) in Self.jobs {
            let seconds =
                (Int(period.prefix { $0.isNumber }) ?? 0) * (units[String(period.drop { $0.isNumber })] ?? 0)
            let digits = schedule.filter { $0 != "_" }
            #expect(digits.contains("JobPeriod(name: \"\(job)\", seconds: \(seconds))"), "\(job)")
        }
        #expect(schedule.components(separatedBy: "JobPeriod(name:").count - 1 == Self.jobs.count)
    }
}
