import Testing

@testable import Installation

@Suite struct InstallationOptionsTests {
    private func provider(_ url: String) -> InstallationOptions.ProviderChoice {
        .init(url: url, credential: "c", model: "m", inputPrice: "1", outputPrice: "2")
    }

    private func options(
        port: Int = 8_080, adminPort: Int = 8_081, processes: Int = 1,
        providers: [InstallationOptions.ProviderChoice] = []
    ) throws -> InstallationOptions {
        try InstallationOptions(
            directory: "/tmp/x", port: port, adminPort: adminPort, processes: processes, hasSimulator: true,
            providers: providers,
            shareDirectory: "/tmp")
    }

    @Test func `ports must be ports, and two`() throws {
        _ = try options()
        #expect(throws: InstallationError.self) { try options(port: 0) }
        #expect(throws: InstallationError.self) { try options(port: 65_536) }
        #expect(throws: InstallationError.self) { try options(adminPort: 8_080) }
    }

    @Test func `there is one process at least, and no more than the private PostgreSQL has connections for`()
        throws
    {
        #expect(try options(processes: 12).processes == 12)
        for processes in [0, -1, 13] {
            #expect(throws: InstallationError.self) { try options(processes: processes) }
        }
    }

    @Test func `a provider needs an address`() {
        #expect(throws: InstallationError.self) { try options(providers: [provider("api.example.com")]) }
    }

    @Test func `a provider is named after its host`() {
        #expect(provider("https://API.example.com/v1").providerName == "api-example-com")
        #expect(provider("http://127.0.0.1:9000/v1").providerName == "127-0-0-1-9000")
    }

    @Test(arguments: ["localhost", "127.0.0.1", "10.1.2.3", "192.168.0.9", "172.20.0.1", "[::1]"])
    func `addresses of this machine and its network are private`(host: String) {
        #expect(provider("http://\(host):8000/v1").isPrivate)
    }

    @Test(arguments: ["api.example.com", "8.8.8.8", "172.32.0.1", "100.1.1.1"])
    func `other addresses are not`(host: String) {
        #expect(!provider("https://\(host)/v1").isPrivate)
    }
}
