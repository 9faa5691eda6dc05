// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "tollgate",
    targets: [
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CFastCGI"),
        .systemLibrary(name: "CHiredis"),
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq"),
        .systemLibrary(name: "CLibCurl", pkgConfig: "libcurl"),
        // Owns: threads, deadlines, waking, batching of concurrent work.
        .target(name: "Threads", dependencies: ["CLinux"], swiftSettings: settings),
    ]
)
