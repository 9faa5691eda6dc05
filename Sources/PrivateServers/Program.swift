import Glibc

/// A program of the machine that we need, and where it is found.
package struct Program: Sendable {
    let name: String
    /// The Debian package to name when it is missing.
    let package: String
    /// Where to look besides `PATH`, before it.
    var directories: [String] = []
    /// Where to look besides `PATH`, after it: servers are not in everybody's `PATH`.
    var systemDirectories = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"]

    static let setpriv = Program(name: "setpriv", package: "util-linux")
    static let redisServer = Program(name: "redis-server", package: "redis-server")
    static let nginx = Program(name: "nginx", package: "nginx")
    /// The load generator: a tool of people, found where their shell finds it.
    package static let wrk = Program(name: "wrk", package: "wrk", systemDirectories: [])

    /// A program of the newest PostgreSQL server; Debian keeps these out of `PATH`.
    static func postgres(_ name: String) -> Program {
        let root = "/usr/lib/postgresql"
        let versions = FileTree.names(in: root).compactMap { Int($0) }.sorted(by: >)
        return Program(
            name: name, package: "postgresql", directories: versions.map { "\(root)/\($0)/bin" })
    }

    /// The absolute path of the program.
    package func path() throws(ServerError) -> String {
        let search = getenv("PATH").map { String(cString: $0) } ?? ""
        for directory in directories + search.split(separator: ":").map(String.init) + systemDirectories {
            let candidate = directory + "/" + name
            if directory.hasPrefix("/"), access(candidate, X_OK) == 0 { return candidate }
        }
        throw .missingProgram(name, package: package)
    }
}
