import Foundation

/// What a person chooses about a private installation.
package struct InstallationOptions: Sendable {
    /// A provider to call besides, or instead of, the simulated one, with one model of it.
    package struct ProviderChoice: Sendable {
        /// The address of its API, with the version part: `https://api.example.com/v1`.
        package let url: String
        /// Our secret for it.
        package let credential: String
        /// The model, named as the provider does.
        package let model: String
        /// US dollars per million input tokens.
        package let inputPrice: String
        /// US dollars per million output tokens.
        package let outputPrice: String

        /// Creates a choice.
        package init(url: String, credential: String, model: String, inputPrice: String, outputPrice: String)
        {
            self.url = url
            self.credential = credential
            self.model = model
            self.inputPrice = inputPrice
            self.outputPrice = outputPrice
        }

        /// What the provider is called here: its host, and its port if that is not the usual one.
        var providerName: String {
            let components = URLComponents(string: url)
            let port = components?.port.map { "-\($0)" } ?? ""
            return (components?.host ?? "provider").lowercased().map { $0.isLetter || $0.isNumber ? $0 : "-" }
                + port
        }

        /// Whether its address is one of this machine or its network, which a gateway calls only when told so.
        var isPrivate: Bool {
            guard let host = URLComponents(string: url)?.host?.lowercased() else { return false }
            if host == "localhost" || host == "::1" || host == "[::1]" || host.hasPrefix("fd") { return true }
            let parts = host.split(separator: ".").map { Int($0) ?? -1 }
            guard parts.count == 4 else { return false }
            return parts[0] == 127 || parts[0] == 10 || (parts[0] == 192 && parts[1] == 168)
                || (parts[0] == 172 && (16...31).contains(parts[1]))
        }
    }

    /// The directory of the installation.
    package let directory: String
    /// The port of the public server.
    package let port: UInt16
    /// The port of the admin server.
    package let adminPort: UInt16
    /// How many processes of tollgated share the socket.
    package let processes: Int
    /// Whether to run the simulated provider.
    package let hasSimulator: Bool
    /// Further providers.
    package let providers: [ProviderChoice]
    /// Who is told of events; nil for whoever was told before, or nobody.
    package let webhookURL: String?
    /// Where the nginx templates are found, in a directory `nginx`.
    package let shareDirectory: String

    /// More would find no connection to the private PostgreSQL.
    private static let processesMax = 12

    /// Creates the choices; throws when they do not fit together.
    package init(
        directory: String, port: Int, adminPort: Int, processes: Int = 1, hasSimulator: Bool,
        providers: [ProviderChoice], webhookURL: String? = nil, shareDirectory: String
    ) throws(InstallationError) {
        guard let port = UInt16(exactly: port), let adminPort = UInt16(exactly: adminPort), port > 0,
            adminPort > 0
        else { throw .wrongOptions("a port is a number from 1 to 65535") }
        guard port != adminPort else {
            throw .wrongOptions("--port and --admin-port are both \(port): they must differ")
        }
        guard (1...Self.processesMax).contains(processes) else {
            throw .wrongOptions("--processes is a number from 1 to \(Self.processesMax)")
        }
        for provider in providers where URLComponents(string: provider.url)?.host == nil {
            throw .wrongOptions(
                "\(provider.url) is not the address of a provider, such as https://api.example.com/v1")
        }
        if let url = webhookURL, URLComponents(string: url)?.host == nil {
            throw .wrongOptions("\(url) is not the address of a webhook, such as https://example.com/hook")
        }
        self.webhookURL = webhookURL
        self.directory = directory
        self.port = port
        self.adminPort = adminPort
        self.processes = processes
        self.hasSimulator = hasSimulator
        self.providers = providers
        self.shareDirectory = shareDirectory
    }
}
