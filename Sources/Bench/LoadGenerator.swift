import Foundation
import JSON
import PrivateServers
import Threads

/// What a closed loop of requests brought.
package struct LoadFigures: Sendable {
    /// Requests that were answered, whatever the status.
    package let requests: Int64
    /// Answers whose status was an error.
    package let refused: Int64
    /// Connections that could not be made or broke, and answers that took too long.
    package let lost: Int64
    /// How long it ran.
    package let seconds: Double
    /// How long half of the answers took at most, to their last byte.
    package let p50Milliseconds: Double
    /// How long 99 of 100 answers took at most.
    package let p99Milliseconds: Double

    /// Good answers a second.
    package var perSecond: Double { Double(requests - refused) / seconds }
}

/// wrk with a script of ours: each of its connections sends the next request when the last one is answered.
package struct LoadGenerator: Sendable {
    private let programPath: String
    private let directory: TemporaryDirectory

    /// Looks for wrk.
    package init() throws(BenchError) {
        do throws(ServerError) {
            programPath = try Program.wrk.path()
            directory = try TemporaryDirectory()
        } catch {
            throw .server(error)
        }
    }

    /// Runs one load to its end.
    package func run(
        _ target: ChatTarget, isStream: Bool, concurrency: Int, seconds: Int
    ) throws(BenchError) -> LoadFigures {
        let timeoutSeconds = 30
        let scriptPath = directory.path + "/post.lua"
        guard FileManager.default.createFile(atPath: scriptPath, contents: Data(PackageResources.post_lua))
        else {
            throw .failed("cannot write \(scriptPath)")
        }
        do throws(ServerError) {
            // One thread does tens of thousands of requests a second; more of them would take time from what is measured.
            let output = try ChildProcess.run(
                [
                    programPath, "--threads", "1", "--connections", "\(concurrency)", "--duration",
                    "\(seconds)s",
                    "--timeout", "\(timeoutSeconds)s", "--script", scriptPath, target.url,
                ],
                environment: ["BENCH_BODY": target.body(isStream: isStream), "BENCH_KEY": target.key ?? ""],
                until: .after(seconds: seconds + 2 * timeoutSeconds))
            guard let figures = LoadFigures(output: output) else {
                throw ServerError.notStarted(program: programPath, reason: "told no figures", logTail: output)
            }
            return figures
        } catch {
            throw .server(error)
        }
    }
}

extension LoadFigures {
    /// Reads the line that the script wrote; nil when there is none.
    init?(output: String) {
        guard let line = output.split(separator: "\n").last(where: { $0.hasPrefix("{") }),
            // What is not JSON was not written by the script.
            let line = try? JSONValue(parsing: Array(line.utf8))
        else { return nil }
        func number(_ key: String) -> Int64 { line[key]?.int64Value ?? 0 }
        requests = number("requests")
        refused = number("refused")
        lost = number("lost")
        seconds = Double(max(number("duration"), 1)) / 1_000_000
        p50Milliseconds = Double(number("p50")) / 1_000
        p99Milliseconds = Double(number("p99")) / 1_000
    }
}
