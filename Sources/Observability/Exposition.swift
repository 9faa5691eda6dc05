/// Metrics in Prometheus' text format, taken apart so that those of several processes can be added up.
///
/// Reads what ``PrometheusRegistry`` writes: the lines of a metric stand together under its `# TYPE`.
struct Exposition: Sendable, Equatable {
    private enum Kind: Substring {
        case counter
        case gauge
        case histogram
    }

    private enum Figure: Equatable {
        /// Exact: amounts of money among them.
        case whole(Int64)
        case real(Double)

        var text: String {
            switch self {
            case .whole(let value): "\(value)"
            case .real(let value): "\(value)"
            }
        }

        private var real: Double {
            switch self {
            case .whole(let value): Double(value)
            case .real(let value): value
            }
        }

        static func + (left: Figure, right: Figure) -> Figure {
            if case .whole(let a) = left, case .whole(let b) = right { return .whole(a &+ b) }
            return .real(left.real + right.real)
        }

        static func largest(_ left: Figure, _ right: Figure) -> Figure {
            left.real < right.real ? right : left
        }
    }

    private struct Metric: Equatable {
        let name: Substring
        let kind: Kind
        /// Names with labels, in the order of their lines.
        var series: [Substring] = []
        var figures: [Substring: Figure] = [:]

        /// Of most gauges all processes together have the sum; a largest one stays the largest.
        private var isLargest: Bool { kind == .gauge && name.hasSuffix("_max") }

        mutating func add(_ figure: Figure, to name: Substring) {
            guard let known = figures[name] else {
                series.append(name)
                figures[name] = figure
                return
            }
            figures[name] = isLargest ? .largest(known, figure) : known + figure
        }
    }

    private var metrics: [Metric] = []
    private var places: [Substring: Int] = [:]

    /// Nothing yet.
    init() {}

    /// Takes a text apart; nil when it is not one of ours.
    init?(_ text: String) {
        // By bytes: a line break and a mark that follows it are one character to Swift.
        for line in text.utf8.split(separator: UInt8(ascii: "\n")).map({ Substring($0) }) {
            if line.hasPrefix("# TYPE ") {
                let words = line.split(separator: " ")
                guard words.count == 4, let kind = Kind(rawValue: words[3]) else { return nil }
                _ = place(of: words[2], kind)
            } else if !line.hasPrefix("#") {
                guard !metrics.isEmpty, let blank = line.lastIndex(of: " ") else { return nil }
                let value = line[line.index(after: blank)...]
                let figure = Int64(value).map { Figure.whole($0) } ?? Double(value).map { Figure.real($0) }
                guard let figure else { return nil }
                metrics[metrics.count - 1].add(figure, to: line[..<blank])
            }
        }
    }

    /// Adds the figures of another process.
    mutating func add(_ other: Exposition) {
        for metric in other.metrics {
            let place = place(of: metric.name, metric.kind)
            guard metrics[place].kind == metric.kind else { continue }
            for name in metric.series {
                guard let figure = metric.figures[name] else { continue }
                metrics[place].add(figure, to: name)
            }
        }
    }

    /// Without what is only true while the process lives.
    var withoutGauges: Exposition {
        var result = Exposition()
        for metric in metrics where metric.kind != .gauge {
            result.places[metric.name] = result.metrics.count
            result.metrics.append(metric)
        }
        return result
    }

    /// The text again.
    var text: String {
        var text = ""
        for metric in metrics {
            text += "# TYPE \(metric.name) \(metric.kind.rawValue)\n"
            for name in metric.series {
                guard let figure = metric.figures[name] else { continue }
                text += "\(name) \(figure.text)\n"
            }
        }
        return text
    }

    private mutating func place(of name: Substring, _ kind: Kind) -> Int {
        if let place = places[name] { return place }
        places[name] = metrics.count
        metrics.append(Metric(name: name, kind: kind))
        return metrics.count - 1
    }
}
