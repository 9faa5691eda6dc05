import Foundation
import TestSupport
import Testing

/// Tests of the command line against a running gateway.
protocol CommandTests {
    /// The gateway whose stores the commands work on.
    var gateway: TestGateway { get }
}

extension CommandTests {
    /// A name that no other test has.
    func name(_ label: String) -> String { "\(label)-\(UInt32.random(in: .min ... .max))" }

    /// Runs a command that must succeed and print one JSON object.
    func json(_ arguments: [String]) throws -> [String: Any] {
        let (status, output) = try TestCommand.run(arguments + ["--json"], environment: environment)
        try #require(status == 0, "\(arguments): \(output)")
        let object = try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any]
        return try #require(object)
    }

    /// Runs a command and checks its exit status, and that it says this.
    func expect(
        _ status: Int32, _ text: String, _ arguments: String...,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let outcome = try TestCommand.run(arguments, environment: environment)
        #expect(outcome.status == status, "\(outcome.output)", sourceLocation: sourceLocation)
        #expect(outcome.output.contains(text), "\(outcome.output)", sourceLocation: sourceLocation)
        #expect(!outcome.output.contains("Optional("), sourceLocation: sourceLocation)
    }

    /// What a command needs to work on the same stores.
    var environment: [String: String] { gateway.stores.environment }

    /// The status of a request with a key.
    func status(key: String, _ model: String = "sim-ok") throws -> Int {
        try TestHTTP.post(gateway.url + "/v1/chat/completions", key: key, EndpointsCaller.body(model)).status
    }
}
