import ArgumentParser
import Catalog
import Core
import Foundation
import Gateway
import JSON
import Tenancy
import Threads

/// The exit statuses that scripts can rely on.
enum ExitStatus {
    static let notFound = ExitCode(3)
    static let conflict = ExitCode(4)
}

/// The option that all commands with output share.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print one JSON object.")
    var json = false
}

/// Ends a command with a message on standard error.
func fail(_ message: String, _ status: ExitCode = .failure) -> any Error {
    FileHandle.standardError.write(Data("tollgate: \(message)\n".utf8))
    return status
}

/// What commands that touch the installation's stores begin with.
struct CommandStores {
    let configuration: StoreConfiguration
    let money: MoneyStores

    /// Reads the environment; a mistake in it ends the command with all of them named.
    ///
    /// - Parameter redisMillisecondsMin: How long Redis may take at least: commands that ask it much at a time are patient.
    init(redisMillisecondsMin: Int = 0) throws {
        var settings = Settings(environment: ProcessInfo.processInfo.environment)
        var configuration = StoreConfiguration(&settings)
        configuration.redisTimeoutMilliseconds = max(
            configuration.redisTimeoutMilliseconds, redisMillisecondsMin)
        self.configuration = configuration
        guard settings.mistakes.isEmpty else {
            throw fail(
                settings.mistakes.joined(separator: "\ntollgate: ")
                    + "\ntollgate: start an installation with 'tollgate up', or source its env file")
        }
        money = MoneyStores(
            configuration, owner: LocalOwner.name, programName: "tollgate", connectionsMax: 4)
    }

    var tenants: TenantRegister { TenantRegister(database: money.database) }

    var catalogEditor: CatalogEditor {
        CatalogEditor(database: money.database, pepper: configuration.pepper)
    }
}

/// Who the command line tool is in rows that it inserts: it owns none that are pending.
enum LocalOwner {
    static let name = "cli:\(ProcessInfo.processInfo.processIdentifier)"
}

/// Runs the part of a command that talks to a store, and says what failed.
func attempt<Value, Failure: Error>(_ effect: () throws(Failure) -> Value) throws -> Value {
    do throws(Failure) { return try effect() } catch { throw fail("\(error)") }
}

/// The same with something that is made first, whose own failures have been told.
func attempt<Store, Value, Failure: Error>(
    _ store: Store, _ effect: (Store) throws(Failure) -> Value
) throws -> Value {
    try attempt { () throws(Failure) in try effect(store) }
}

/// Parses an argument as a tenant's name.
func parseTenant(_ text: String) throws -> TenantID {
    guard let tenant = TenantID(text) else {
        throw ValidationError(
            "'\(text)' is not a tenant's name: lower-case letters, digits, '.', '_' and '-', at most 63")
    }
    return tenant
}

/// Parses an argument as an amount of dollars.
func parseMoney(_ text: String, _ option: String) throws -> Money {
    guard let money = Money(decimal: text) else {
        throw ValidationError(
            "\(option): '\(text)' is not an amount like 12.5 (no sign, at most nine decimals, at most 9000000)"
        )
    }
    return money
}

extension TenantRegister {
    /// The tenant of that name, or the end of the command.
    func required(_ id: TenantID) throws -> (tenant: Tenant, createdAt: String) {
        let found = try attempt { try tenant(id) }
        guard let found else { throw fail("there is no tenant '\(id)'", ExitStatus.notFound) }
        return found
    }
}

/// Prints one JSON object, whose values are text, numbers, flags or null.
func printJSON(_ members: [(String, JSONValue)]) {
    var writer = JSONWriter()
    writer.value(.object(members.map { JSONMember($0.0, $0.1) }))
    print(String(decoding: writer.bytes, as: UTF8.self))
}

/// Prints one JSON object with a list under `data`, and what else there is to say about it.
func printJSONList(_ rows: [[(String, JSONValue)]], _ more: [(String, JSONValue)] = []) {
    let data = rows.map { row in JSONValue.object(row.map { JSONMember($0.0, $0.1) }) }
    printJSON([("data", .array(data))] + more)
}

extension JSONValue {
    init(_ text: String?) { self = text.map { .string($0) } ?? .null }
    init(_ number: Int64?) { self = number.map { JSONValue($0) } ?? .null }
}

/// Prints rows under headings, each column as wide as its widest cell.
func printTable(_ headings: [String], _ rows: [[String]]) {
    // A cell may be what somebody called something: no line breaks, nothing that steers a terminal.
    let rows = rows.map { row in
        row.map { cell in String(cell.map { $0.unicodeScalars.contains { $0.value < 32 } ? "?" : $0 }) }
    }
    let widths = headings.indices.map { column in
        ([headings] + rows).map { $0[column].count }.max() ?? 0
    }
    for row in [headings] + rows {
        let cells = zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }
        print(String(cells.joined(separator: "  ").reversed().drop { $0 == " " }.reversed()))
    }
}
