import Foundation
import PrivateServers
import Threads

/// Runs our command line program.
package enum TestCommand {
    /// What is put before a program of ours to start it: a program that arranges something and then becomes ours.
    ///
    /// Empty, but for `./tollgate test --descriptors`.
    package static let launcher =
        ProcessInfo.processInfo.environment["TOLLGATE_TEST_LAUNCHER"].map { [$0] } ?? []

    /// Runs `tollgate ARGUMENTS` and returns its output, both streams together, and its exit status; -1 when it was killed.
    package static func run(
        _ arguments: [String], environment: [String: String]
    ) throws -> (status: Int32, output: String) {
        try run(launcher + [TestGateway.programs + "/tollgate"] + arguments, environment, seconds: 60)
    }

    /// Runs any program the same way.
    package static func run(
        _ words: [String], _ environment: [String: String], seconds: Int
    ) throws -> (status: Int32, output: String) {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/output"
        let process = try ChildProcess(words, environment: environment, logPath: path)
        let ending = process.wait(until: .after(seconds: seconds))
        let output = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        guard case .exited(let status) = ending else { return (-1, output) }
        return (status, output)
    }
}
