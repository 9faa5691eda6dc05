import Core
import Foundation
import Gateway
import Glibc
import PrivateServers
import TestSupport
import TestTools
import Testing
import Threads

extension FaultRows {
    /// Rows 1 to 4: faults of tollgated.
    @Suite(.serialized) struct GatewayRows {
        /// What a client may see of a process that dies: of its request's death, of its answer's, or, when the process had taken the
        /// connection and nothing on it, that nobody was reached.
        private static let death: Set<String> = ["502 (nginx)", "cut", "503 (nginx)"]

        @Test(arguments: 1...6)
        func `row 1: a process that is killed after a step of the protocol, again and again`(
            step: Int
        ) throws {
            let scene = try FaultScene(try FaultScene.makeGateway())
            let processes = try scene.gateway.processes()
            let report = try scene.run("1.\(step)", "tollgated killed after step \(step)") { scene in
                for time in 1...2 {
                    processes.kill(0)
                    try processes.start(0, environment: ["TOLLGATE_CRASH_AT": "\(step):\(time * 15)"])
                    #expect(processes[0]?.wait(until: .after(seconds: 60)) == .exited(137))
                    try processes.start(0)
                    scene.waitForAnswers(scene.form.clients)
                }
            }
            #expect(!report.errors.isEmpty, "no request was hit")
            report.expectErrors(only: Self.death)
        }

        @Test func `row 2: of two processes one is killed, and the other serves on`() throws {
            let scene = try FaultScene(try FaultScene.makeGateway(processes: 2))
            let processes = try scene.gateway.processes()
            var killed: [(from: Deadline, until: Deadline)] = []
            let report = try scene.run("2", "one of two tollgated killed") { scene in
                try scene.repeatedly {
                    let from = Deadline.now
                    processes.kill(0)
                    killed.append((from, .now))
                    scene.waitForAnswers(scene.form.clients)
                    try processes.start(0)
                }
            }
            report.expectErrors(only: Self.death)
            // Whoever is hit had been on the way to the process that died.
            let late = report.errors.filter { error in
                !killed.contains { error.began < $0.until && error.ends >= $0.from }
            }
            #expect(late.isEmpty, "\(late.prefix(3))")
        }

        @Test func `row 3: on SIGTERM streams are served to their end`() throws {
            let scene = try FaultScene(try FaultScene.makeGateway(processes: 2), orders: FaultOrder.slow)
            let processes = try scene.gateway.processes()
            let report = try scene.run("3", "SIGTERM during streams") { scene in
                for number in 0...1 {
                    processes[number]?.send(SIGTERM)
                    #expect(processes[number]?.wait(until: .after(seconds: 70)) == .exited(0))
                    scene.waitForAnswers(scene.form.clients)
                    try processes.start(number)
                }
            }
            report.expectErrors(only: [])
        }

        @Test func `row 4: restarts behind a socket that stays open refuse nobody`() throws {
            let scene = try FaultScene(try FaultScene.makeGateway())
            let processes = try scene.gateway.processes()
            let report = try scene.run("4", "tollgated restarted, its socket open") { scene in
                try scene.repeatedly {
                    processes[0]?.send(SIGTERM)
                    #expect(processes[0]?.wait(until: .after(seconds: 70)) == .exited(0))
                    try processes.start(0)
                }
            }
            report.expectErrors(only: [])
        }
    }
}

extension FaultAnswer {
    /// When the answer ended.
    var ends: Deadline { began.advanced(milliseconds: Int(milliseconds)) }
}
