import Foundation
import PrivateServers
import Threads

/// Runs commands of our own program, as a person would, and reads their JSON.
struct OwnCommand {
    /// The absolute path of `tollgate`.
    let programPath: String
    /// The addresses and secrets of the installation.
    let environment: [String: String]
    /// Where the output, which may contain a new key, is kept for a moment; readable by this user alone.
    let outputDirectory: String

    /// What exists already.
    static let existsStatus: Int32 = 4
    private static let secondsMax = 120

    /// The object that a command printed, or nil when what it should make exists already.
    struct Reply {
        let wasMade: Bool
        let values: [String: String]
    }

    /// Runs `tollgate ARGUMENTS`; a failure is an error with the command's own words.
    @discardableResult
    func callAsFunction(_ arguments: String...) throws(InstallationError) -> Reply {
        try run(arguments)
    }

    /// Runs `tollgate ARGUMENTS`; a failure is an error with the command's own words.
    @discardableResult
    func run(_ arguments: [String]) throws(InstallationError) -> Reply {
        let outputPath = outputDirectory + "/command-output"
        SystemCalls.removeTree(outputPath)
        defer { SystemCalls.removeTree(outputPath) }
        let ending: ChildProcess.Ending?
        do throws(ServerError) {
            let process = try ChildProcess(
                [programPath] + arguments, environment: environment, logPath: outputPath,
                workingDirectory: "/")
            ending = process.wait(until: .after(seconds: Self.secondsMax))
        } catch {
            throw .server(error)
        }
        let output = SystemCalls.read(outputPath) ?? ""
        switch ending {
        case .exited(0): return Reply(wasMade: true, values: Self.object(in: output))
        case .exited(Self.existsStatus): return Reply(wasMade: false, values: [:])
        case let other:
            let reason = other?.words ?? "did not end within \(Self.secondsMax) s"
            throw .commandFailed(
                command: "tollgate " + arguments.prefix(3).joined(separator: " "),
                output: output.isEmpty ? reason : output)
        }
    }

    /// The strings of the JSON object that ends an output, whatever log lines come before it.
    static func object(in output: String) -> [String: String] {
        let lines = output.split(separator: "\n")
        for start in lines.indices.reversed() where lines[start].hasPrefix("{") {
            let text = lines[start...].joined(separator: "\n")
            // What is not JSON from here on may be so from an earlier line on.
            guard let value = try? JSONSerialization.jsonObject(with: Data(text.utf8)) else { continue }
            return (value as? [String: Any])?.compactMapValues { $0 as? String } ?? [:]
        }
        return [:]
    }
}
