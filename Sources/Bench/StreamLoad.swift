import CLinux
import Foundation
import Glibc
import Threads

/// What many streams at once brought.
package struct StreamFigures: Sendable {
    /// Streams that were begun.
    package var streams = 0
    /// Those that came whole and in order.
    package var complete = 0
    /// What was wrong with the others, and how often.
    package var failures: [String: Int] = [:]
    /// The most that were open at the same moment.
    package var mostAtOnce = 0
    /// Events with content in each.
    package var events = 0
    /// From the first connection to the last event.
    package var seconds = 0.0
    /// From the request to the first event, in milliseconds, of each complete stream, the shortest first.
    package var firstEventMilliseconds: [Double] = []
    /// The longest silence between two events of each complete stream, in milliseconds.
    package var longestGapMilliseconds: [Double] = []
}

extension [Double] {
    /// The value that this share of the sorted values does not pass; 0 when there are none.
    package func percentile(_ percent: Int) -> Double {
        isEmpty ? 0 : self[Swift.min(count * percent / 100, count - 1)]
    }
}

/// Opens many streams and reads each to its end, on one thread.
package struct StreamLoad: Sendable {
    private let request: [UInt8]
    private let address: sockaddr_in
    /// How long nothing at all may come, from any stream.
    var silenceSecondsMax = 20

    /// Prepares requests for a target.
    package init(_ target: ChatTarget) throws(BenchError) {
        guard let parts = URLComponents(string: target.url), parts.scheme == "http", let host = parts.host
        else {
            throw .failed("\(target.url): slow streams need an address that begins with http://")
        }
        let body = target.body(isStream: true)
        let credential = target.key.map { "Authorization: Bearer \($0)\r\n" } ?? ""
        // HTTP/1.0: its answers are not chunked, and the end of the connection is the end of the answer.
        let head =
            "POST \(parts.path) HTTP/1.0\r\nHost: \(host)\r\n\(credential)Content-Type: application/json\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n"
        request = Array((head + body).utf8)
        var hints = addrinfo()
        hints.ai_family = AF_INET
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, "\(parts.port ?? 80)", &hints, &found)
        defer { if let found { freeaddrinfo(found) } }
        guard code == 0, let first = found?.pointee.ai_addr else {
            throw .unreachable(url: target.url, reason: String(cString: gai_strerror(code)))
        }
        address = first.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { $0.pointee }
    }

    /// Runs streams to their ends.
    ///
    /// - Parameters:
    ///   - count: How many.
    ///   - perSecond: How many are opened in a second; 0 for as many as can be.
    ///   - events: How many events each must have; nil for any number.
    package func run(count: Int, perSecond: Int, events: Int?) throws(BenchError) -> StreamFigures {
        let poller = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard poller >= 0 else { throw .failed("no descriptors left: \(String(cString: strerror(errno)))") }
        defer { close(poller) }
        var round = StreamRound(
            load: self, poller: poller, count: count, perSecond: perSecond, eventsExpected: events)
        return round.run()
    }

    /// Begins to connect; a negative number when that fails at once.
    fileprivate func connect() -> Int32 {
        let kind = SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue
        let descriptor = socket(AF_INET, Int32(kind), 0)
        guard descriptor >= 0 else { return -1 }
        var address = address
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if code == 0 || errno == EINPROGRESS { return descriptor }
        close(descriptor)
        return -1
    }

    fileprivate func send(_ sent: Int, on descriptor: Int32) -> Int {
        request[sent...].withUnsafeBytes {
            Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
    }

    fileprivate var requestBytes: Int { request.count }
}

/// One run of a stream load.
private struct StreamRound {
    private struct Stream {
        let descriptor: Int32
        let start: Deadline
        var sentBytes = 0
        var reading = StreamReading()
    }

    private let load: StreamLoad
    private let poller: Int32
    private let count: Int
    private let perSecond: Int
    private let eventsExpected: Int?
    private let start = Deadline.now
    /// By descriptor.
    private var streams: [Int32: Stream] = [:]
    private var figures = StreamFigures()
    private var received = [UInt8](repeating: 0, count: 64 * 1_024)
    private static let openedAtOnceMax = 64

    init(load: StreamLoad, poller: Int32, count: Int, perSecond: Int, eventsExpected: Int?) {
        self.load = load
        self.poller = poller
        self.count = count
        self.perSecond = perSecond
        self.eventsExpected = eventsExpected
    }

    mutating func run() -> StreamFigures {
        var events = [epoll_event](repeating: epoll_event(), count: 512)
        var silence = Deadline.after(seconds: load.silenceSecondsMax)
        while figures.streams < count || !streams.isEmpty {
            openDue()
            let waitMilliseconds: Int32 = figures.streams < count ? 1 : 100
            let ready = epoll_wait(poller, &events, Int32(events.count), waitMilliseconds)
            for event in events.prefix(Int(max(ready, 0))) { handle(event.data.fd) }
            if ready > 0 { silence = .after(seconds: load.silenceSecondsMax) }
            if silence.isPast {
                for descriptor in streams.keys {
                    fail(descriptor, "nothing came for \(load.silenceSecondsMax) seconds")
                }
            }
        }
        figures.seconds = Double(start.elapsedNanoseconds) / 1_000_000_000
        figures.firstEventMilliseconds.sort()
        figures.longestGapMilliseconds.sort()
        return figures
    }

    private mutating func openDue() {
        let passed = Double(start.elapsedNanoseconds) / 1_000_000_000
        let due = perSecond == 0 ? count : min(count, Int(passed * Double(perSecond)) + 1)
        for _ in 0..<min(due - figures.streams, Self.openedAtOnceMax) {
            figures.streams += 1
            let descriptor = load.connect()
            guard descriptor >= 0 else {
                figures.failures["no connection: \(String(cString: strerror(errno)))", default: 0] += 1
                continue
            }
            streams[descriptor] = Stream(descriptor: descriptor, start: .now)
            watch(descriptor, for: EPOLLOUT, EPOLL_CTL_ADD)
        }
        figures.mostAtOnce = max(figures.mostAtOnce, streams.count)
    }

    private mutating func handle(_ descriptor: Int32) {
        guard let sentBytes = streams[descriptor]?.sentBytes else { return }
        if sentBytes < load.requestBytes {
            let sent = load.send(sentBytes, on: descriptor)
            guard sent > 0 else {
                if errno != EAGAIN { fail(descriptor, "no connection: \(String(cString: strerror(errno)))") }
                return
            }
            streams[descriptor]?.sentBytes += sent
            if sentBytes + sent == load.requestBytes { watch(descriptor, for: EPOLLIN, EPOLL_CTL_MOD) }
            return
        }
        let count = recv(descriptor, &received, received.count, 0)
        if count < 0, errno == EAGAIN { return }
        do throws(StreamReading.Failure) {
            if count > 0 {
                try streams[descriptor]?.reading.append(received[..<count], at: .now)
            } else {
                try streams[descriptor]?.reading.finish(expected: eventsExpected)
                complete(descriptor)
            }
        } catch {
            fail(descriptor, error.description)
        }
    }

    private mutating func complete(_ descriptor: Int32) {
        guard let stream = streams[descriptor], let first = stream.reading.firstEvent else { return }
        figures.complete += 1
        figures.events = stream.reading.events
        figures.firstEventMilliseconds.append(
            Double(first.nanoseconds - stream.start.nanoseconds) / 1_000_000)
        figures.longestGapMilliseconds.append(Double(stream.reading.longestGapNanoseconds) / 1_000_000)
        drop(descriptor)
    }

    private mutating func fail(_ descriptor: Int32, _ reason: String) {
        figures.failures[reason, default: 0] += 1
        drop(descriptor)
    }

    private mutating func drop(_ descriptor: Int32) {
        streams[descriptor] = nil
        close(descriptor)
    }

    private func watch(_ descriptor: Int32, for events: EPOLL_EVENTS, _ operation: Int32) {
        var event = epoll_event()
        event.events = events.rawValue
        event.data.fd = descriptor
        epoll_ctl(poller, operation, descriptor, &event)
    }
}
