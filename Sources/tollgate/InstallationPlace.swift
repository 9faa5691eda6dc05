import ArgumentParser
import Foundation

/// Where the private installation lies that a command is about.
struct InstallationPlace: ParsableArguments {
    @Option(help: "The directory of the installation (default: TOLLGATE_DIR, else .tollgate).")
    var dir: String = ProcessInfo.processInfo.environment["TOLLGATE_DIR"] ?? ".tollgate"

    /// Where this program and tollgated are.
    static var programDirectory: String {
        let path = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        return path.deletingLastPathComponent().path
    }

    /// Where the nginx templates are: as told, else in the checkout that this program was built in, else where packages put them.
    static var shareDirectory: String {
        if let directory = ProcessInfo.processInfo.environment["TOLLGATE_SHARE"], !directory.isEmpty {
            return directory
        }
        var directory = URL(fileURLWithPath: programDirectory)
        while directory.path != "/" {
            if FileManager.default.fileExists(atPath: directory.path + "/nginx/tollgate.conf.in") {
                return directory.path
            }
            directory.deleteLastPathComponent()
        }
        return "/usr/share/tollgate"
    }
}
