import Foundation
import Ledger
import PrivateServers
import Testing
import Threads

@testable import Settlement

@Suite struct LocalProcessTests {
    /// A line of `/proc/<pid>/stat`, with a name that would mislead a careless reader.
    private func status(_ state: Character, start: Int64) -> String {
        "77 (a) R b) \(state) 1 77 77 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 \(start) 1 2 3"
    }

    @Test func `this process runs, and not under another start time`() {
        let own = LocalProcess.identity()
        #expect(own.pid == getpid())
        #expect(own.processStart > 0)
        #expect(LocalProcess.isRunning(pid: own.pid, start: own.processStart))
        #expect(!LocalProcess.isRunning(pid: own.pid, start: own.processStart + 1))
    }

    @Test func `each identity has a name of its own and the same host`() {
        let first = LocalProcess.identity()
        let second = LocalProcess.identity()
        #expect(first.name != second.name)
        #expect(first.host == second.host && first.host.contains(":"))
    }

    @Test func `a process that has ended does not run`() throws {
        let directory = try TemporaryDirectory()
        let process = try ChildProcess(["/bin/sleep", "60"], logPath: directory.path + "/log")
        let pid = process.pid
        let text = try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
        let start = try #require(Int64(text.split(separator: " ")[21]))
        #expect(LocalProcess.isRunning(pid: pid, start: start))
        process.terminate(signal: SIGKILL, until: .after(seconds: 10))
        #expect(!LocalProcess.isRunning(pid: pid, start: start))
    }

    @Test func `a process is who it was when its start time is the same`() {
        #expect(LocalProcess.isRunning(status: status("S", start: 9), exists: true, start: 9))
        #expect(!LocalProcess.isRunning(status: status("S", start: 8), exists: true, start: 9))
    }

    @Test(arguments: ["Z", "X"] as [Character])
    func `what only waits for its parent does not run`(state: Character) {
        #expect(!LocalProcess.isRunning(status: status(state, start: 9), exists: true, start: 9))
    }

    @Test func `a process that may not be looked at is taken for running, one that is not there is not`() {
        #expect(LocalProcess.isRunning(status: "", exists: true, start: 9))
        #expect(!LocalProcess.isRunning(status: "", exists: false, start: 9))
    }
}
