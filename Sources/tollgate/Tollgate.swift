import ArgumentParser

/// The command line tool: everything an operator does.
@main
struct Tollgate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tollgate",
        abstract: "An LLM API gateway that gets the money right.",
        discussion: """
            Exit status: 0 done · 1 failed · 3 no such thing · 4 exists already, or conflicts with what exists · 64 wrong usage.
            With --json a command prints one JSON object; amounts are decimal strings.
            """,
        subcommands: [
            UpCommand.self, DownCommand.self, StatusCommand.self, MigrateCommand.self, TenantCommand.self,
            KeyCommand.self, CreditCommand.self, ProviderCommand.self, ModelCommand.self, PriceCommand.self,
            TransactionsCommand.self, HoldsCommand.self, ReconcileCommand.self, AdminTokenCommand.self,
            JobCommand.self,
            DoctorCommand.self, BenchCommand.self, SimulateProviderCommand.self,
        ])
}
