/// Makes what a first call needs: a tenant with money, a key, and priced models, through our own commands.
struct DemoData {
    static let tenant = "demo"
    static let balance = "10"
    static let simulatorProvider = "simulator"
    /// The model of the printed example, and the other behaviours of the simulated provider.
    static let simulatedModels = ["sim-ok", "sim-slow", "sim-500", "sim-hang", "sim-cut", "sim-no-usage"]
    static let simulatedInputPrice = "0.15"
    static let simulatedOutputPrice = "0.60"

    let command: OwnCommand
    let recordPath: String

    /// Makes what the record does not list, and lists it.
    func make(
        options: InstallationOptions, record: inout InstallationRecord, environment: inout EnvironmentFile
    ) throws(InstallationError) {
        try once("tenant \(Self.tenant)", &record) { () throws(InstallationError) in
            try command("tenant", "create", Self.tenant, "--balance", Self.balance, "--json")
        }
        if environment["TOLLGATE_KEY"] == nil {
            environment["TOLLGATE_KEY"] = try secret(
                "key", of: ["key", "create", "--tenant", Self.tenant, "--name", "up", "--json"])
        }
        if environment["TOLLGATE_ADMIN_TOKEN"] == nil {
            environment["TOLLGATE_ADMIN_TOKEN"] = try secret(
                "token", of: ["admin-token", "create", "--name", "up", "--json"])
        }
        if options.hasSimulator, let port = record.simulatorPort {
            try makeSimulated(port: port, record: &record)
        }
        for choice in options.providers {
            try make(choice, record: &record)
        }
    }

    private func makeSimulated(port: UInt16, record: inout InstallationRecord) throws(InstallationError) {
        let provider = Self.simulatorProvider
        try once("provider \(provider)", &record) { () throws(InstallationError) in
            try command(
                "provider", "add", provider, "--url", "http://127.0.0.1:\(port)/v1", "--credential",
                "simulated",
                "--allow-private-addresses", "--json")
        }
        for model in Self.simulatedModels {
            try makeModel(
                model, provider: provider, inputPrice: Self.simulatedInputPrice,
                outputPrice: Self.simulatedOutputPrice, record: &record)
        }
    }

    private func make(
        _ choice: InstallationOptions.ProviderChoice, record: inout InstallationRecord
    ) throws(InstallationError) {
        let provider = choice.providerName
        try once("provider \(provider)", &record) { () throws(InstallationError) in
            let isPrivate = choice.isPrivate ? ["--allow-private-addresses"] : []
            return try command.run(
                [
                    "provider", "add", provider, "--url", choice.url, "--credential", choice.credential,
                    "--json",
                ]
                    + isPrivate)
        }
        try makeModel(
            choice.model, provider: provider, inputPrice: choice.inputPrice, outputPrice: choice.outputPrice,
            record: &record)
    }

    private func makeModel(
        _ model: String, provider: String, inputPrice: String, outputPrice: String,
        record: inout InstallationRecord
    ) throws(InstallationError) {
        try once("model \(model) at \(provider)", &record) { () throws(InstallationError) in
            try command("model", "add", model, "--provider", provider, "--json")
        }
        try once("price \(model)", &record) { () throws(InstallationError) in
            try command("price", "set", model, "--input", inputPrice, "--output", outputPrice, "--json")
        }
    }

    private func once(
        _ name: String, _ record: inout InstallationRecord,
        _ make: () throws(InstallationError) -> OwnCommand.Reply
    ) throws(InstallationError) {
        guard !record.made.contains(name) else { return }
        _ = try make()
        record.made.insert(name)
        try record.write(to: recordPath)
    }

    private func secret(_ field: String, of arguments: [String]) throws(InstallationError) -> String {
        let reply = try command.run(arguments)
        guard let value = reply.values[field], !value.isEmpty else {
            throw .commandFailed(
                command: "tollgate " + arguments.joined(separator: " "), output: "its answer has no \(field)")
        }
        return value
    }
}
