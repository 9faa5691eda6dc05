import Foundation
import TestSupport
import Testing

/// A Python with the official SDK in the version that the wrapper script pins.
enum SDKPython {
    /// Why there is none.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private static let found = Result<String, any Error> { try find() }

    /// The path of the interpreter: the one that `./tollgate test` made, or one that is made here.
    static func path() throws -> String { try found.get() }

    private static func find() throws -> String {
        if let given = ProcessInfo.processInfo.environment["TOLLGATE_TEST_PYTHON"], !given.isEmpty {
            guard FileManager.default.isExecutableFile(atPath: given) else {
                throw Failure(description: "TOLLGATE_TEST_PYTHON: '\(given)' cannot be run")
            }
            return given
        }
        let environment = TestGateway.checkout + "/.build/venv"
        let python = environment + "/bin/python"
        let stamp = environment + "/packages"
        let packages = try pinnedPackages()
        let standing = try? String(contentsOfFile: stamp, encoding: .utf8)
        guard standing?.split(separator: "\n").first.map({ String($0) }) != packages else { return python }
        // What a killed run left half made has no stamp.
        try? FileManager.default.removeItem(atPath: environment)
        try run(["/usr/bin/env", "python3", "-m", "venv", environment])
        try run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", packages])
        try (packages + "\n").write(toFile: stamp, atomically: true, encoding: .utf8)
        return python
    }

    /// What the wrapper script installs, so that there is one place that says which version is tested.
    private static func pinnedPackages() throws -> String {
        let script = try String(contentsOfFile: TestGateway.checkout + "/tollgate", encoding: .utf8)
        let begin = "test_python_packages='"
        let line = script.split(separator: "\n").first { $0.hasPrefix(begin) }
        guard let line else { throw Failure(description: "./tollgate pins no Python packages") }
        return String(line.dropFirst(begin.count).prefix { $0 != "'" })
    }

    private static func run(_ words: [String]) throws {
        let (status, output) = try TestCommand.run(words, [:], seconds: 300)
        guard status == 0 else {
            throw Failure(
                description: "the tests need a Python with the openai package, and this failed "
                    + "(exit status \(status)): \(words.joined(separator: " "))\n\(output.suffix(2_000))")
        }
    }
}

/// What one run of `Python/sdk.py` saw.
struct SDKOutcome: Decodable {
    struct Tokens: Decodable, Equatable {
        let prompt: Int64
        let completion: Int64
        let total: Int64
    }

    // What came back.
    let content: String?
    let finish_reason: String?
    let usage: Tokens?
    let usage_only_chunks: Int?
    let headers: [String: String?]?
    let models: [String]?
    let id: String?

    // The exception that the SDK raised.
    let error: String?
    let status: Int?
    let code: String?
    let type: String?
    let param: String?
    let message: String?
    let trace: String?

    // Of a client that leaves.
    let pieces: Int?
    let left_at_ms: Int64?

    // Of requests sent twice.
    let ids: [String]?
    let replayed: [String?]?

    // Of a mix.
    let outcomes: Int?
    let contents: [String]?
    let with_usage: Int?

    /// HTTP requests that were sent, repeated ones too.
    let requests: Int
}

extension EndpointsCaller {
    /// Runs a scenario of the Python script with this caller's key, or another.
    func sdk(_ scenario: String, _ model: String, key: String? = nil) throws -> SDKOutcome {
        let script = TestGateway.checkout + "/Tests/AcceptanceTests/Python/sdk.py"
        let (status, output) = try TestCommand.run(
            [try SDKPython.path(), "-B", script, scenario, gateway.url, key ?? self.key, model], [:],
            seconds: 120)
        let last = output.split(separator: "\n").last.map { String($0) } ?? ""
        try #require(status == 0, "sdk.py \(scenario) failed: \(output.suffix(2_000))")
        return try JSONDecoder().decode(SDKOutcome.self, from: Data(last.utf8))
    }
}
