import Foundation
import PrivateServers
import Testing

@testable import Installation

@Suite struct WebhookSetupTests {
    @Test func `a webhook is remembered, with a secret of its own that only we can read`() throws {
        let directory = try TemporaryDirectory()
        let layout = try InstallationLayout(directory: directory.path, runtimeDirectory: directory.path)
        try FileManager.default.createDirectory(
            atPath: layout.secretDirectory, withIntermediateDirectories: true)
        var environment = EnvironmentFile()
        try WebhookSetup(layout: layout).prepare(nil, in: &environment)
        #expect(environment.values.isEmpty)
        try WebhookSetup(layout: layout).prepare("https://example.com/hook", in: &environment)
        #expect(environment["TOLLGATE_WEBHOOK_SECRET_FILE"] == layout.webhookSecretPath)
        let secret = try String(contentsOfFile: layout.webhookSecretPath, encoding: .utf8)
        #expect(
            secret.hasPrefix("whsec_")
                && Data(base64Encoded: String(secret.dropFirst(6).dropLast()))?.count == 32)
        let mode = try FileManager.default.attributesOfItem(atPath: layout.webhookSecretPath)[
            .posixPermissions]
        #expect(mode as? Int == 0o600)
        try WebhookSetup(layout: layout).prepare(nil, in: &environment)
        #expect(environment["TOLLGATE_WEBHOOK_URL"] == "https://example.com/hook")
        #expect(try String(contentsOfFile: layout.webhookSecretPath, encoding: .utf8) == secret)
    }
}
