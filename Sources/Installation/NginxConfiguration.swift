import Glibc

/// Fills in the templates of `nginx/` for a private installation.
package struct NginxConfiguration: Sendable {
    /// Where the templates are: `nginx` in the checkout or in the installed share.
    let templateDirectory: String
    /// Values of the placeholders, without the signs around them.
    let values: [String: String]

    /// The values for an installation.
    init(
        layout: InstallationLayout, templateDirectory: String, socketPath: String, port: UInt16,
        adminPort: UInt16, filesMax: Int
    ) {
        self.init(
            configurationDirectory: layout.nginxDirectory, runtimeDirectory: layout.runtimeDirectory,
            templateDirectory: templateDirectory, socketPath: socketPath, port: port, adminPort: adminPort,
            filesMax: filesMax)
    }

    /// The values for an nginx whose files lie in two directories; nginx makes its own inside `runtimeDirectory/nginx`.
    package init(
        configurationDirectory: String, runtimeDirectory: String, templateDirectory: String,
        socketPath: String,
        port: UInt16, adminPort: UInt16, filesMax: Int
    ) {
        self.templateDirectory = templateDirectory
        let workersMax = 4
        let backlog = 4_096
        // Files that a worker has open besides its connections.
        let otherFiles = 64
        values = [
            "LISTEN": "127.0.0.1:\(port) backlog=\(backlog)",
            "ADMIN_LISTEN": "127.0.0.1:\(adminPort)",
            "SERVER_NAME": "_",
            "SOCKET": socketPath,
            "CONF": configurationDirectory,
            "TEMP": runtimeDirectory + "/nginx",
            "LOG": configurationDirectory,
            "RUN": runtimeDirectory,
            "BODY_MAX": "20m",
            // One machine is all clients here, load generators among them: as good as no limit.
            "CONNECTIONS_PER_ADDRESS": "60000",
            "REQUESTS_PER_SECOND": "1000000",
            "USER": geteuid() == 0 ? "user \(Self.workerUser);" : "",
            "WORKERS": String(min(sysconf(Int32(_SC_NPROCESSORS_ONLN)), workersMax)),
            "FILES_MAX": String(filesMax),
            "CONNECTIONS_MAX": String(max(filesMax - otherFiles, 128)),
            "DRAIN_SECONDS": String(Self.drainSeconds),
        ]
    }

    /// Whom nginx's workers run as when root starts them; their group may use the FastCGI socket.
    static let workerUser = "www-data"
    /// How long running requests may take to end when nginx stops.
    static let drainSeconds = 10

    /// Writes the configuration and returns the path of its outer file.
    package func write(into directory: String) throws(InstallationError) -> String {
        for name in ["main.conf", "tollgate.conf"] {
            let text = try Self.filled(try template(name + ".in"), values: values)
            try SystemCalls.write(text, to: "\(directory)/\(name)", mode: 0o644)
        }
        for name in ["errors.conf", "fastcgi_params"] {
            try SystemCalls.write(try template(name), to: "\(directory)/\(name)", mode: 0o644)
        }
        return directory + "/main.conf"
    }

    /// Replaces each `@NAME@`; one without a value is an error.
    static func filled(_ template: String, values: [String: String]) throws(InstallationError) -> String {
        var text = ""
        var rest = template[...]
        while let at = rest.firstIndex(of: "@") {
            text += rest[..<at]
            let after = rest[rest.index(after: at)...]
            let name = after.prefix { $0.isUppercase || $0 == "_" }
            guard !name.isEmpty, after.dropFirst(name.count).first == "@" else {
                text += "@"
                rest = after
                continue
            }
            guard let value = values[String(name)] else {
                throw .wrongOptions("the nginx template has a placeholder @\(name)@ that nobody fills in")
            }
            text += value
            rest = after.dropFirst(name.count + 1)
        }
        return text + rest
    }

    private func template(_ name: String) throws(InstallationError) -> String {
        let path = "\(templateDirectory)/\(name)"
        guard let text = SystemCalls.read(path) else {
            throw .fileMissing(
                path: path,
                hint: "TOLLGATE_SHARE must name the checkout, or the directory it was installed to")
        }
        return text
    }
}
