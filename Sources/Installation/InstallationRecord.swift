import Foundation

/// What earlier starts have made, so that later ones make only what is missing.
///
/// Something that a person removed on purpose is not made again.
struct InstallationRecord: Codable, Equatable {
    /// The port of the simulated provider, which the catalogue refers to.
    var simulatorPort: UInt16?
    /// Names of what was made: tenants, providers, models, prices.
    var made: Set<String> = []

    /// Reads the record; an empty one when there is none, or none that can be read.
    static func read(_ path: String) -> InstallationRecord {
        guard let text = SystemCalls.read(path) else { return InstallationRecord() }
        // An unreadable record costs commands that find everything in place already.
        return (try? JSONDecoder().decode(Self.self, from: Data(text.utf8))) ?? InstallationRecord()
    }

    /// Writes the record.
    func write(to path: String) throws(InstallationError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        // It cannot fail, as the next line says.
        guard let data = try? encoder.encode(self) else {
            preconditionFailure("strings and numbers that JSON cannot hold")
        }
        try SystemCalls.write(String(decoding: data, as: UTF8.self) + "\n", to: path, mode: 0o644)
    }
}
