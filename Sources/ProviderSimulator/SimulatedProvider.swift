import CLinux
import Glibc
import Threads

/// A simulated LLM provider: OpenAI's chat completions with exact, predictable usage and failures on demand.
///
/// One thread serves every connection. `POST /v1/chat/completions` (plain and streamed), `GET /v1/models` and `GET /healthz`
/// answer as OpenAI does. The model's name chooses the behaviour (see `Behaviour`). Usage is a function of the request:
///
/// - `prompt_tokens` is the number of words in all message contents, where JSON white space separates words, but at least 1;
/// - `completion_tokens` is the number of content chunks, `chunks` for each of `n` choices, or `max_completion_tokens`
///   (`max_tokens`) if that is less, and then the answer ends with `length`.
///
/// `GET /_control/held` tells how many calls of `sim-hold` wait; `POST /_control/release` lets them go on.
package final class SimulatedProvider: @unchecked Sendable {
    // `run`'s thread alone touches what is variable; others use only `port` and `stop`, which writes to an eventfd.

    /// The port it listens on.
    package let port: UInt16

    let options: SimulatorOptions
    private let listener: Int32
    private let stopper: Int32
    private let poller: Int32

    var connections: [Connection?] = []
    private var generation: UInt64 = 0
    var timers = TimerHeap()
    var heldSerials: [UInt64] = []
    var log: CallLog
    var writer = AnswerWriter()
    var identifiers = IdentifierSource()
    private var received = [UInt8](repeating: 0, count: 256 * 1_024)

    private static let listenerSerial = UInt64.max
    private static let stopperSerial = UInt64.max - 1
    private static let readingEvents = EPOLLIN.rawValue | EPOLLRDHUP.rawValue

    /// Starts listening; connections are answered once `run` is called.
    package init(options: SimulatorOptions = SimulatorOptions()) throws(SimulatorError) {
        let log = try CallLog(path: options.logPath)
        (listener, port) = try Self.listen(on: options.host, port: options.port)
        self.options = options
        self.log = log
        stopper = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        poller = epoll_create1(Int32(EPOLL_CLOEXEC))
        precondition(stopper >= 0 && poller >= 0, "no descriptors left")
        control(EPOLL_CTL_ADD, listener, events: EPOLLIN.rawValue, serial: Self.listenerSerial)
        control(EPOLL_CTL_ADD, stopper, events: EPOLLIN.rawValue, serial: Self.stopperSerial)
    }

    deinit {
        close(poller)
        close(stopper)
        close(listener)
    }

    /// Serves until `stop` is called; then every open call is logged and its connection closed.
    package func run() {
        var events = [epoll_event](repeating: epoll_event(), count: 512)
        var isStopping = false
        while !isStopping {
            let count = epoll_wait(poller, &events, Int32(events.count), waitMilliseconds())
            for event in events.prefix(Int(max(count, 0))) {
                switch event.data.u64 {
                case Self.listenerSerial: acceptConnections()
                case Self.stopperSerial: isStopping = true
                case let serial: handle(event.events, of: serial)
                }
            }
            let now = Deadline.now
            while let serial = timers.popDue(at: now) { resume(serial) }
            if let deadline = log.flushDeadline, deadline <= now { log.flush() }
        }
        for case let connection? in connections {
            if let call = connection.call {
                log.append(call, outcome: call.behaviour == .hanging ? .hung : .cut)
            }
            drop(connection)
        }
        log.close()
    }

    /// Makes `run` return soon; any thread may call.
    package func stop() {
        eventfd_write(stopper, 1)
    }

    /// The prompt tokens that a request body counts as; nil when it is no chat request.
    package static func promptTokens(of body: [UInt8]) -> Int? {
        body.withUnsafeBufferPointer { ScannedRequest($0) }.map { max(1, $0.promptWords) }
    }

    // MARK: - Connections

    private func acceptConnections() {
        while true {
            let descriptor = accept4(
                listener, nil, nil, Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue))
            guard descriptor >= 0 else {
                // Without descriptors the listener stays readable: wait for some to be closed instead of spinning.
                if errno == EMFILE || errno == ENFILE { usleep(1_000) }
                return
            }
            var one: Int32 = 1
            setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
            generation += 1
            let serial = generation << 32 | UInt64(descriptor)
            let connection = Connection(descriptor: descriptor, serial: serial, interest: Self.readingEvents)
            while connections.count <= Int(descriptor) { connections.append(nil) }
            connections[Int(descriptor)] = connection
            control(EPOLL_CTL_ADD, descriptor, events: connection.interest, serial: serial)
        }
    }

    private func handle(_ events: UInt32, of serial: UInt64) {
        guard let connection = connection(serial) else { return }
        if connection.call == nil {
            receive(connection)
        } else if events & (EPOLLRDHUP.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 {
            connection.isBroken = true
        }
        serve(connection)
    }

    /// The connection with this serial, unless it is closed.
    func connection(_ serial: UInt64) -> Connection? {
        let index = Int(serial & 0xFFFF_FFFF)
        guard index < connections.count, let connection = connections[index] else { return nil }
        return connection.serial == serial ? connection : nil
    }

    private func receive(_ connection: Connection) {
        let count = recv(connection.descriptor, &received, received.count, 0)
        if count > 0 {
            // What follows the last request that is answered is read only to be thrown away.
            if !connection.closesAfterOutput { connection.input += received[..<count] }
        } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
            connection.isBroken = true
        }
    }

    /// Closes a connection; its call, if it has one, has been logged.
    func drop(_ connection: Connection) {
        connections[Int(connection.descriptor)] = nil
        close(connection.descriptor)
    }

    /// Watches for what the connection's state needs: while a call is answered, what the client sends next stays where it is.
    func updateInterest(_ connection: Connection) {
        var interest = connection.call == nil ? Self.readingEvents : EPOLLRDHUP.rawValue
        if !connection.isDrained { interest |= EPOLLOUT.rawValue }
        guard interest != connection.interest else { return }
        connection.interest = interest
        control(EPOLL_CTL_MOD, connection.descriptor, events: interest, serial: connection.serial)
    }

    private func control(_ operation: Int32, _ descriptor: Int32, events: UInt32, serial: UInt64) {
        var event = epoll_event()
        event.events = events
        event.data.u64 = serial
        let code = epoll_ctl(poller, operation, descriptor, &event)
        precondition(code == 0, "epoll_ctl: errno \(errno)")
    }

    private func waitMilliseconds() -> Int32 {
        switch (timers.earliest, log.flushDeadline) {
        case (nil, nil): -1
        case (let timer?, nil): timer.remainingMilliseconds
        case (nil, let flush?): flush.remainingMilliseconds
        case (let timer?, let flush?): min(timer, flush).remainingMilliseconds
        }
    }

    private static func listen(on host: String, port: UInt16) throws(SimulatorError) -> (Int32, UInt16) {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else { throw .cannotListen(EINVAL) }
        let kind = SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue
        let listener = socket(AF_INET, Int32(kind), 0)
        guard listener >= 0 else { throw .cannotListen(errno) }
        var one: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && Glibc.listen(listener, 4_096) == 0
                    && getsockname(listener, $0, &length) == 0
            }
        }
        guard isListening else {
            let code = errno
            close(listener)
            throw .cannotListen(code)
        }
        return (listener, UInt16(bigEndian: address.sin_port))
    }
}

/// Makes identifiers that no other call of this process has, and hardly any of another.
struct IdentifierSource {
    private let seed = UInt64.random(in: .min ... .max)
    private var count: UInt64 = 0

    /// The next identifier of an answer.
    mutating func next() -> [UInt8] {
        count += 1
        // SplitMix64: a bijection of the counter that looks random.
        var mixed = seed &+ count &* 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        var text = Array("chatcmpl-".utf8)
        text.append(hexadecimal: mixed ^ (mixed >> 31), digits: 16)
        return text
    }
}
