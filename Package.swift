// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "CoreMetrics", package: "swift-metrics")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let bigInt = Target.Dependency.product(name: "BigInt", package: "BigInt")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

func module(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil) -> Target {
    .target(name: name, dependencies: dependencies, resources: resources, swiftSettings: settings)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

let package = Package(
    name: "tollgate",
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/attaswift/BigInt", from: "6.0.1"),
    ],
    targets: [
        // Owns: nothing; glibc functions that Swift's Glibc module does not show.
        .systemLibrary(name: "CLinux"),
        // Owns: nothing; makes libfcgi visible to FastCGI.
        .systemLibrary(name: "CFastCGI"),
        // Owns: nothing; makes hiredis visible to Redis. Its pkg-config file has a flag that SwiftPM refuses.
        .systemLibrary(name: "CHiredis"),
        // Owns: nothing; makes libpq visible to Postgres.
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq"),
        // Owns: nothing; makes libcurl visible to HTTPClient.
        .systemLibrary(name: "CLibCurl", pkgConfig: "libcurl"),

        // Owns: threads, deadlines, waking, batching of concurrent work.
        module("Threads", ["CLinux"]),
        // Owns: acceptor, worker threads, the bytes between nginx and us.
        module("FastCGI", ["CFastCGI", "CLinux", "Threads"]),
        // Owns: pooled connections to Redis, replies, running scripts.
        module("Redis", ["CHiredis", "CLinux", "Threads"]),
        // Owns: connections to PostgreSQL, pool, database transactions, rows, LISTEN/NOTIFY.
        module("Postgres", ["CLibPQ", "CLinux", "Threads"]),
        // Owns: one outbound transfer, streamed, with deadlines and an SSRF guard.
        module("HTTPClient", ["CLibCurl", "CLinux", "Threads"]),
        // Owns: validating JSON scanner, splicing, a small value type.
        module("JSON", []),
        // Owns: private child processes: PostgreSQL, Redis and nginx of `up` and of the tests.
        module("PrivateServers", ["CLinux", "Threads"]),

        // Owns: the domain's words as values; no I/O, no clocks.
        module("Core", []),
        // Owns: tables tenants, api_keys, admin_tokens: who is calling.
        module("Tenancy", ["Core", "Postgres", "Threads", crypto], resources: [.embedInCode("SQL")]),
        // Owns: tables providers, provider_credentials, provider_models, prices: who serves what at what price.
        module("Catalog", ["Core", "Postgres", "Threads", crypto], resources: [.embedInCode("SQL")]),
        // Owns: every Redis key beginning gw:quota: and its Lua.
        module("Quota", ["Core", "Redis", "Threads"], resources: [.embedInCode("Lua")]),
        // Owns: tables billing_transactions, credits, tenant_epoch, owners, stream_checkpoints, house_entries,
        // redis_incarnations, job_watermarks, ledger_rollups, usage_hourly, tenant_quotas, api_key_quotas, idempotency_keys,
        // idempotent_answers, quota_mode, outbox: what was used and what it cost, for ever.
        module("Ledger", ["Core", "Postgres", "Threads"], resources: [.embedInCode("SQL")]),
        // Owns: the order in which candidates are tried.
        module("Routing", ["Core"]),
        // Owns: wire formats of the APIs that clients and providers speak.
        module("Dialects", ["JSON"]),
        // Owns: log lines and metrics of a process.
        module("Observability", ["Threads", logging, metrics]),
        // Owns: the migrations: the order in which the tables of all targets come to be.
        module("Schema", ["Postgres"], resources: [.embedInCode("Migrations"), .embedInCode("SQL")]),

        // Owns: the events that the operator's webhook is told, signed.
        module("Webhooks", ["HTTPClient", "JSON", "Threads", crypto]),

        // Owns: the money protocol where Quota and Ledger meet, and what is done after a commit.
        module(
            "Settlement",
            [
                "Core", "JSON", "Ledger", "Postgres", "Quota", "Redis", "Threads", "Webhooks", metrics,
            ]),

        // Owns: the workflow of each endpoint, admin endpoints, configuration, errors to HTTP.
        module(
            "Gateway",
            [
                "CLinux", "Catalog", "Core", "Dialects", "FastCGI", "HTTPClient", "JSON", "Ledger",
                "Observability", "Postgres", "Quota", "Redis", "Routing", "Schema", "Settlement", "Tenancy",
                "Threads", "Webhooks", crypto, logging, metrics,
            ]),
        // Owns: what timers run.
        module(
            "Jobs",
            [
                "Core", "JSON", "Ledger", "Observability", "Postgres", "Quota", "Settlement", "Threads",
                "Webhooks",
            ]),
        // Owns: the simulated LLM provider of demos and tests.
        module("ProviderSimulator", ["CLinux", "Threads"]),
        // Owns: a private installation under one directory: its files, ports and processes.
        module("Installation", ["FastCGI", "PrivateServers", "Threads"]),

        // Owns: the load of `tollgate bench`: wrk, streams, figures of processes.
        module(
            "Bench",
            ["CLinux", "Core", "Dialects", "HTTPClient", "JSON", "PrivateServers", "Threads"],
            resources: [.embedInCode("Lua")]),

        // Owns: the responder's process: signals, sockets, start and stop.
        program("tollgated", ["FastCGI", "Gateway", "Observability", "Threads", logging]),
        // Owns: the command line.
        program(
            "tollgate",
            [
                "Bench", "Catalog", "Core", "FastCGI", "Gateway", "HTTPClient", "Installation", "JSON",
                "Jobs",
                "Ledger", "Observability", "Postgres", "ProviderSimulator", "Quota", "Redis", "Schema",
                "Settlement", "Tenancy",
                "Threads", "Webhooks", arguments,
            ]),

        // Owns: what tests of any target need: waiting, threads, sockets, random numbers.
        .target(
            name: "TestTools", dependencies: ["Threads"], path: "Tests/TestTools", swiftSettings: settings),
        // Owns: what tests of several targets need: stores, the whole gateway, commands.
        .target(
            name: "TestSupport",
            dependencies: [
                "Catalog", "Core", "FastCGI", "Gateway", "HTTPClient", "Installation", "Jobs", "Ledger",
                "Postgres",
                "PrivateServers", "ProviderSimulator", "Quota", "Redis", "Schema", "Settlement", "Tenancy",
                "TestTools", "Threads", "Webhooks", "tollgate", "tollgated",
            ], path: "Tests/TestSupport", swiftSettings: settings),
        tests("ThreadsTests", ["CLinux", "TestTools", "Threads"]),
        tests("ObservabilityTests", ["Observability", "PrivateServers", "Threads", logging, metrics]),
        tests("TenancyTests", ["Core", "Postgres", "PrivateServers", "Tenancy", "TestSupport", "Threads"]),
        tests("CatalogTests", ["Catalog", "Core", "Postgres", "PrivateServers", "TestSupport"]),
        tests("RoutingTests", ["Core", "Routing", "TestTools"]),
        tests("CoreTests", ["Core", "TestTools", bigInt]),
        tests(
            "GatewayTests",
            [
                "Core", "Dialects", "FastCGI", "Gateway", "HTTPClient", "JSON", "Ledger", "Observability",
                "PrivateServers", "Redis", "Settlement", "Tenancy", "TestSupport", "TestTools", "Threads",
                logging,
                metrics,
            ]),
        tests("TidyTests", ["PrivateServers"]),
        tests("JSONTests", ["JSON", "TestTools"]),
        tests("DialectsTests", ["Dialects", "JSON", "TestTools"]),
        tests("FastCGITests", ["CLinux", "FastCGI", "PrivateServers", "TestTools", "Threads"]),
        tests("HTTPClientTests", ["HTTPClient", "PrivateServers", "TestTools", "Threads"]),
        tests(
            "ProviderSimulatorTests",
            ["HTTPClient", "PrivateServers", "ProviderSimulator", "TestTools", "Threads"]),
        tests("PrivateServersTests", ["PrivateServers", "TestTools", "Threads"]),
        tests("PostgresTests", ["Postgres", "PrivateServers", "TestTools", "Threads"]),
        tests("RedisTests", ["PrivateServers", "Redis", "TestTools", "Threads"]),
        tests("BenchTests", ["Bench", "Core", "ProviderSimulator", "TestTools", "Threads"]),
        tests("InstallationTests", ["FastCGI", "Installation", "PrivateServers", "TestTools", "Threads"]),
        tests(
            "QuotaTests", ["Core", "PrivateServers", "Quota", "Redis", "TestSupport", "TestTools", "Threads"]),
        tests(
            "LedgerTests",
            ["Core", "Ledger", "Postgres", "PrivateServers", "TestSupport", "TestTools", "Threads"]),
        tests(
            "SchemaTests", ["Postgres", "PrivateServers", "Schema", "TestSupport", "TestTools", "Threads"]),
        tests(
            "SettlementTests",
            [
                "Core", "HTTPClient", "Jobs", "Ledger", "Postgres", "PrivateServers", "Quota", "Redis",
                "Settlement", "TestSupport", "TestTools", "Threads", "Webhooks",
            ]),
        tests("WebhooksTests", ["JSON", "TestSupport", "TestTools", "Webhooks"]),
        tests("SimulationTests", ["Core", "Ledger", "Postgres", "Quota", "Settlement", "TestTools"]),
        tests(
            "JobsTests",
            [
                "Core", "Jobs", "Ledger", "Postgres", "PrivateServers", "Quota", "Redis", "Settlement",
                "TestSupport", "TestTools", "Threads",
            ]),
        tests(
            "AcceptanceTests",
            [
                "Catalog", "Core", "Dialects", "Gateway", "HTTPClient", "JSON", "Ledger", "Postgres",
                "PrivateServers", "ProviderSimulator", "Quota", "Redis", "Settlement", "Tenancy",
                "TestSupport", "TestTools", "Threads",
            ], exclude: ["Python"]),
        tests(
            "FaultTests",
            [
                "Core", "Gateway", "Ledger", "Postgres", "PrivateServers", "ProviderSimulator", "Quota",
                "Redis", "Settlement", "Tenancy", "TestSupport", "TestTools", "Threads",
            ]),
    ]
)
