import Bench
import Core
import Foundation
import JSON

/// What a measurement found, for people and for programs.
struct BenchReport {
    let url: String
    let model: String
    let seconds: Int
    let result: BenchResult
    let books: BenchBooks?

    /// What the gateway adds to a lone request, in milliseconds: half of them, and 99 of 100.
    private var addedLatency: (p50: Double, p99: Double)? {
        guard let direct = result.loads("direct").first?.figures,
            let plain = result.loads("plain").first(where: { $0.concurrency == 1 })?.figures
        else { return nil }
        return (
            plain.p50Milliseconds - direct.p50Milliseconds, plain.p99Milliseconds - direct.p99Milliseconds
        )
    }

    private var memoryPeak: MemoryFigures? {
        let peaks = result.loads.map(\.observation.memoryPeak) + [result.slow?.observation.memoryPeak]
        return peaks.compactMap { $0 }.max()
    }

    /// Memory that a slow stream took, in KiB.
    private var streamKiB: Double? {
        guard let slow = result.slow, slow.figures.mostAtOnce > 0, let idle = result.memoryIdle,
            let peak = slow.observation.memoryPeak
        else { return nil }
        return Double(peak.pssKiB - idle.pssKiB) / Double(slow.figures.mostAtOnce)
    }

    /// Microseconds of each part for one request.
    private func cpu(_ load: LoadResult) -> [(part: String, microseconds: Double)] {
        let requests = Double(max(load.figures.requests, 1))
        return load.observation.cpu.map { ($0.part, Double($0.microseconds) / requests) }
    }

    // MARK: - For people

    func printTables() {
        let processors = ProcessInfo.processInfo.activeProcessorCount
        print(
            "\n\(url), model \(model), \(seconds) s each, \(processors) processors, which the load generator shares\n"
        )
        printTable(
            [
                "load", "at once", "answers/s", "p50 ms", "p99 ms", "refused", "lost", "calls/Redis write",
                "rows/commit",
            ],
            result.loads.map { load in
                [
                    load.name, "\(load.concurrency)", text(load.figures.perSecond, 0),
                    text(load.figures.p50Milliseconds, 2), text(load.figures.p99Milliseconds, 2),
                    "\(load.figures.refused)", "\(load.figures.lost)", average(load, \.redisBatch),
                    average(load, \.ledgerBatch),
                ]
            })
        if let added = addedLatency {
            print(
                "\nAdded latency of a lone request: p50 \(text(added.p50, 2)) ms, p99 \(text(added.p99, 2)) ms"
            )
        }
        if let last = result.loads.last?.observation, let redis = last.redisBatch,
            let ledger = last.ledgerBatch
        {
            print(
                "Largest batches: \(redis.largest) calls in a Redis write, \(ledger.largest) rows in a commit"
            )
        }
        printCPU()
        printMemory()
        printSlowStreams()
        if let books { print("\n" + text(books)) }
    }

    private func printCPU() {
        let loads = result.loads.filter { $0.name != "direct" }
        let columns = loads.map { cpu($0) }
        guard let parts = columns.first?.map(\.part) else { return }
        print("")
        var rows = parts.indices.map { part in
            [parts[part]] + columns.map { text($0[part].microseconds, 0) }
        }
        // What is not ours stands last, below the sum.
        let sums = columns.map { $0.dropLast().reduce(0) { $0 + $1.microseconds } }
        rows.insert(["sum"] + sums.map { text($0, 0) }, at: rows.count - 1)
        printTable(["CPU µs a request"] + loads.map { "\($0.name) \($0.concurrency)" }, rows)
    }

    private func printMemory() {
        guard let idle = result.memoryIdle, let peak = memoryPeak, let after = result.memoryAfter else {
            return
        }
        print("")
        printTable(
            ["tollgated, MiB", "before", "peak", "after"],
            [
                ["PSS"] + [idle, peak, after].map { text(Double($0.pssKiB) / 1_024, 1) },
                ["RSS"] + [idle, peak, after].map { text(Double($0.rssKiB) / 1_024, 1) },
            ])
    }

    private func printSlowStreams() {
        guard let slow = result.slow?.figures else { return }
        let first = slow.firstEventMilliseconds
        let gaps = slow.longestGapMilliseconds
        print(
            """

            Slow streams: \(slow.complete) of \(slow.streams) complete and in order, \(slow.events) events each, in \
            \(text(slow.seconds, 1)) s, at most \(slow.mostAtOnce) at once
              first event      p50 \(text(first.percentile(50), 1)) ms, p99 \(text(first.percentile(99), 1)) ms
              longest silence  p50 \(text(gaps.percentile(50), 1)) ms, p99 \(text(gaps.percentile(99), 1)) ms
            """)
        if let streamKiB { print("  memory           \(text(streamKiB, 0)) KiB a stream") }
        for (reason, count) in slow.failures.sorted(by: { $0.key < $1.key }) {
            print("  FAILED \(count): \(reason)")
        }
    }

    private func text(_ books: BenchBooks) -> String {
        let asked = books.asked
        return """
            Books: \(books.isExact ? "exact" : "NOT EXACT"). \(asked.answered) answered, \(books.requestsCharged) charged \
            with $\(books.charged) (at most \(asked.unanswered) more may be: those that a load left unanswered), \
            \(books.requestsVoided) voided, \(books.requestsRunning) running; \
            drift \(books.drift.map { "$\($0)" } ?? "unknown, Redis has no balance")
            """
    }

    /// The average size of batches; a load that passes the gateway by has none.
    private func batchSize(_ load: LoadResult, _ size: KeyPath<Observation, BatchSize?>) -> Double? {
        load.name == "direct" ? nil : load.observation[keyPath: size]?.average
    }

    private func average(_ load: LoadResult, _ size: KeyPath<Observation, BatchSize?>) -> String {
        batchSize(load, size).map { text($0, 1) } ?? "-"
    }

    private func text(_ number: Double, _ decimals: Int) -> String {
        String(format: "%.\(decimals)f", number)
    }

    // MARK: - For programs

    var json: [(String, JSONValue)] {
        let (redis, ledger) = (
            result.loads.last?.observation.redisBatch, result.loads.last?.observation.ledgerBatch
        )
        return [
            ("url", .string(url)), ("model", .string(model)), ("seconds", JSONValue(Int64(seconds))),
            ("loads", .array(result.loads.map { object($0) })),
            (
                "added_latency_ms",
                addedLatency.map { object([("p50", number($0.p50)), ("p99", number($0.p99))]) } ?? .null
            ),
            ("redis_calls_max", JSONValue(redis?.largest)), ("ledger_rows_max", JSONValue(ledger?.largest)),
            (
                "memory",
                object([
                    ("before", object(result.memoryIdle)), ("peak", object(memoryPeak)),
                    ("after", object(result.memoryAfter)),
                ])
            ), ("slow_streams", slowStreams), ("books", books.map { object($0) } ?? .null),
        ]
    }

    private func object(_ load: LoadResult) -> JSONValue {
        let figures = load.figures
        return object([
            ("load", .string(load.name)), ("concurrency", JSONValue(Int64(load.concurrency))),
            ("answers", JSONValue(figures.requests - figures.refused)),
            ("refused", JSONValue(figures.refused)),
            ("lost", JSONValue(figures.lost)), ("per_second", number(figures.perSecond)),
            ("p50_ms", number(figures.p50Milliseconds)), ("p99_ms", number(figures.p99Milliseconds)),
            ("cpu_us_per_request", object(cpu(load).map { ($0.part, number($0.microseconds)) })),
            ("memory_peak", object(load.observation.memoryPeak)),
            ("redis_calls_per_write", number(batchSize(load, \.redisBatch))),
            ("ledger_rows_per_commit", number(batchSize(load, \.ledgerBatch))),
        ])
    }

    private var slowStreams: JSONValue {
        guard let (figures, observation) = result.slow else { return .null }
        let first = figures.firstEventMilliseconds
        let gaps = figures.longestGapMilliseconds
        return object([
            ("streams", JSONValue(Int64(figures.streams))), ("complete", JSONValue(Int64(figures.complete))),
            ("events", JSONValue(Int64(figures.events))),
            ("most_at_once", JSONValue(Int64(figures.mostAtOnce))),
            ("seconds", number(figures.seconds)),
            (
                "first_event_ms",
                object([("p50", number(first.percentile(50))), ("p99", number(first.percentile(99)))])
            ),
            (
                "longest_gap_ms",
                object([("p50", number(gaps.percentile(50))), ("p99", number(gaps.percentile(99)))])
            ),
            ("memory_peak", object(observation.memoryPeak)), ("kib_per_stream", number(streamKiB)),
            (
                "failures",
                object(
                    figures.failures.sorted { $0.key < $1.key }.map { ($0.key, JSONValue(Int64($0.value))) })
            ),
        ])
    }

    private func object(_ books: BenchBooks) -> JSONValue {
        object([
            ("exact", .bool(books.isExact)), ("answered", JSONValue(books.asked.answered)),
            ("unanswered_max", JSONValue(books.asked.unanswered)),
            ("charged_requests", JSONValue(books.requestsCharged)),
            ("voided_requests", JSONValue(books.requestsVoided)),
            ("running_requests", JSONValue(books.requestsRunning)),
            ("charged", .string(books.charged.description)), ("drift", JSONValue(books.drift?.description)),
        ])
    }

    private func object(_ memory: MemoryFigures?) -> JSONValue {
        memory.map { object([("pss_kib", JSONValue($0.pssKiB)), ("rss_kib", JSONValue($0.rssKiB))]) } ?? .null
    }

    private func object(_ members: [(String, JSONValue)]) -> JSONValue {
        .object(members.map { JSONMember($0.0, $0.1) })
    }

    private func number(_ value: Double?) -> JSONValue { value.map { .number(text($0, 3)) } ?? .null }
}
