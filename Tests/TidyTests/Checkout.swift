import Foundation

/// The files of this checkout.
enum Checkout {
    /// The directory of the checkout itself, also when it is built through links to its parts.
    static let root: String = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    /// The Swift files of the product.
    static let sources = swiftFiles("Sources")
    /// The Swift files of the tests.
    static let tests = swiftFiles("Tests")
    /// The package's description.
    static let package = swiftFile("Package.swift")

    /// The paths under a directory with this ending, from the top of the checkout, in order.
    static func paths(_ directory: String, ending: String) -> [String] {
        let found = FileManager.default.enumerator(atPath: root + "/" + directory)
        let all = (found?.compactMap { $0 as? String } ?? []).map { directory + "/" + $0 }
        return all.filter { $0.hasSuffix(ending) && !$0.contains("/__pycache__/") }.sorted()
    }

    /// The text of a file; empty when there is none, which the tests about it then tell.
    static func text(_ path: String) -> String {
        FileManager.default.contents(atPath: root + "/" + path).map { String(decoding: $0, as: UTF8.self) }
            ?? ""
    }

    private static func swiftFiles(_ directory: String) -> [SwiftSource] {
        paths(directory, ending: ".swift").map { swiftFile($0) }
    }

    private static func swiftFile(_ path: String) -> SwiftSource {
        SwiftSource(path: path, text: text(path))
    }
}
