import Glibc
import PrivateServers
import TestTools
import Testing
import Threads

@testable import Installation

@Suite struct PartTests {
    @Test func `a part that ended is started again after a wait`() throws {
        let directory = try TemporaryDirectory()
        let daemon = Daemon(
            ["/bin/sleep", "60"], environment: [:], logPath: directory.path + "/log", stopSeconds: 5)
        try daemon.start()
        var part = daemon.part("sleeper")
        #expect(part.keepRunning() == nil)
        let first = try #require(daemon.process)
        first.send(SIGKILL)
        _ = first.wait()
        #expect(part.keepRunning() == "sleeper ended (signal 9); it starts again in 500 ms")
        #expect(part.keepRunning() == nil)
        usleep(550_000)
        #expect(part.keepRunning() == "sleeper runs again")
        #expect(part.isRunning && part.restarts == 1)
        daemon.stop()
        #expect(part.keepRunning() == "sleeper ended (signal 15); it starts again in 1000 ms")
    }

    @Test func `jobs run at their periods and failures are told`() throws {
        let directory = try TemporaryDirectory()
        let jobs = JobSchedule(
            [JobPeriod(name: "sweep", seconds: 0)], programPath: "/bin/false", environment: [:],
            logPath: directory.path + "/log")
        #expect(jobs.runDue().isEmpty)
        var messages: [String] = []
        let isTold = Eventually.holds {
            messages = jobs.runDue()
            return !messages.isEmpty
        }
        #expect(isTold)
        #expect(messages.first?.hasPrefix("job sweep failed (exit status 1)") == true)
        jobs.stop()
    }

    @Test func `the object is found after the lines of a log`() {
        let logs = "warning\n{\"level\": \"info\", \"key\": \"no\"}\n"
        #expect(OwnCommand.object(in: logs + "{\"id\": 1, \"key\": \"tg_x\"}\n") == ["key": "tg_x"])
        #expect(
            OwnCommand.object(in: logs + "{\n  \"key\": \"tg_x\",\n  \"of\": {\n  }\n}\n") == ["key": "tg_x"])
        #expect(OwnCommand.object(in: "no object").isEmpty)
    }
}
