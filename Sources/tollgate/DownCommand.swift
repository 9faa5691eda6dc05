import ArgumentParser
import Foundation
import Installation

/// `tollgate down`: stops what `tollgate up` started.
struct DownCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "down",
        abstract: "Stop the private installation that `tollgate up` started; its data stays.")

    @OptionGroup var place: InstallationPlace

    func run() throws {
        do throws(InstallationError) {
            let layout = try InstallationLayout(directory: place.dir)
            switch try InstallationStop.stop(layout) {
            case .nothingRan: print("Nothing runs in \(layout.directory).")
            case .stopped(let pid): print("Stopped the installation in \(layout.directory) (process \(pid)).")
            }
        } catch {
            FileHandle.standardError.write(Data("tollgate down: \(error)\n".utf8))
            throw ExitCode.failure
        }
    }
}
