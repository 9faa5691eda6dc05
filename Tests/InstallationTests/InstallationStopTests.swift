import Glibc
import PrivateServers
import TestTools
import Testing
import Threads

@testable import Installation

@Suite struct InstallationStopTests {
    @Test func `stopping where nothing ever ran says so`() throws {
        let directory = try TemporaryDirectory()
        let layout = try InstallationLayout(directory: directory.path)
        #expect(try InstallationStop.stop(layout) == .nothingRan)
        #expect(!InstallationStatus(of: layout).isRunning)
    }

    @Test func `what a killed run left behind makes nobody stop and hinders no start`() throws {
        let directory = try TemporaryDirectory()
        let layout = try InstallationLayout(directory: directory.path)
        let stranger = try ChildProcess(["/bin/sleep", "60"], logPath: directory.path + "/log")
        try SystemCalls.write("", to: layout.lockPath, mode: 0o644)
        try InstallationReport(
            port: 1, adminPort: 2, simulatorPort: nil, startedAt: 0, databaseDirectory: "",
            parts: [.init(name: "nginx", pid: stranger.pid, restarts: 0)]
        ).write(to: layout.reportPath)
        #expect(try InstallationStop.stop(layout) == .nothingRan)
        #expect(!InstallationStatus(of: layout).isRunning)
        #expect(stranger.isRunning)
        _ = try InstallationLock(layout)
    }

    @Test func `a directory is run by one at a time`() throws {
        let directory = try TemporaryDirectory()
        let layout = try InstallationLayout(directory: directory.path)
        let lock = try InstallationLock(layout)
        #expect(throws: InstallationError.self) { _ = try InstallationLock(layout) }
        _ = consume lock
        _ = try InstallationLock(layout)
    }

    @Test func `a script that looks at the lock for a moment is no obstacle`() throws {
        let directory = try TemporaryDirectory()
        let layout = try InstallationLayout(directory: directory.path)
        let script = try ChildProcess(
            ["/usr/bin/flock", layout.lockPath, "/bin/sleep", "0.1"], logPath: directory.path + "/log")
        #expect(Eventually.holds { SystemCalls.read(layout.lockPath) != nil })
        _ = try InstallationLock(layout)
        script.terminate(until: .after(seconds: 5))
    }
}
