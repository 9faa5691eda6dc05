import Glibc
import TestTools
import Threads

/// A server on a free port that runs one script on each connection, byte by byte as the script says.
final class ScriptedServer: Sendable {
    private struct State {
        var openDescriptors: Set<Int32> = []
        var connectionCount = 0
        var requests: [String] = []
        var isStopped = false
    }

    let port: UInt16
    private let listener: Int32
    private let state = Locked(State())

    /// Starts listening; the script gets each connection and its number, counted from 0.
    init(_ script: @escaping @Sendable (Peer) -> Void) throws {
        (listener, port) = try TestSocket.listen()
        _ = try WorkerThread(name: "script-accept", isDetached: true) { [self] in
            acceptConnections(script)
        }
    }

    /// The URL of a path here.
    func url(_ path: String = "/v1") -> String { "http://127.0.0.1:\(port)\(path)" }

    /// Heads and bodies of the requests read until now.
    var requests: [String] { state.withLock { $0.requests } }

    /// Connections accepted until now.
    var connectionCount: Int { state.withLock { $0.connectionCount } }

    /// Stops accepting and hangs up every connection.
    func stop() {
        let descriptors = state.withLock { state in
            state.isStopped = true
            return state.openDescriptors
        }
        shutdown(listener, Int32(SHUT_RDWR))
        for descriptor in descriptors { shutdown(descriptor, Int32(SHUT_RDWR)) }
    }

    private func acceptConnections(_ script: @escaping @Sendable (Peer) -> Void) {
        while true {
            let descriptor = accept(listener, nil, nil)
            guard descriptor >= 0 else { break }
            var one: Int32 = 1
            setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
            let number = state.withLock { state in
                state.openDescriptors.insert(descriptor)
                state.connectionCount += 1
                return state.connectionCount - 1
            }
            let peer = Peer(descriptor: descriptor, number: number, server: self)
            // A script that cannot have a thread never answers, and its test fails by its timeout.
            _ = try? WorkerThread(name: "script", isDetached: true) {
                script(peer)
                peer.close()
            }
        }
        close(listener)
    }

    fileprivate func note(request: String) {
        state.withLock { $0.requests.append(request) }
    }

    fileprivate func forget(_ descriptor: Int32) {
        state.withLock { _ = $0.openDescriptors.remove(descriptor) }
    }
}

/// One connection of a scripted server; used by its script's thread only.
final class Peer: @unchecked Sendable {
    // Only the thread that runs the script touches it after it was created.
    let number: Int
    private let descriptor: Int32
    private let server: ScriptedServer
    private var received: [UInt8] = []
    private var isClosed = false

    init(descriptor: Int32, number: Int, server: ScriptedServer) {
        self.descriptor = descriptor
        self.number = number
        self.server = server
    }

    /// Reads one request with the body its `Content-Length` announces; nil when the connection ended first.
    func readRequest() -> String? {
        let blankLine = Array("\r\n\r\n".utf8)
        while true {
            if let end = received.firstRange(of: blankLine) {
                let head = String(decoding: received[..<end.upperBound], as: UTF8.self)
                let length =
                    head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }
                    .flatMap { Int($0.dropFirst("content-length:".count).drop { $0 == " " }) } ?? 0
                if received.count >= end.upperBound + length {
                    let request = String(decoding: received[..<(end.upperBound + length)], as: UTF8.self)
                    received.removeFirst(end.upperBound + length)
                    server.note(request: request)
                    return request
                }
            }
            guard receive() else { return nil }
        }
    }

    /// Sends all of it; false when the other side is gone.
    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// Sends all of it; false when the other side is gone.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool { TestSocket.send(bytes, on: descriptor) }

    /// Reads until the other side closes; false when it has not within five seconds.
    func waitForClose() -> Bool {
        let deadline = Deadline.after(seconds: 5)
        while true {
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, deadline.remainingMilliseconds) > 0 else { return false }
            guard receive() else { return true }
        }
    }

    /// Ends the connection with a reset.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    /// Ends the connection.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        server.forget(descriptor)
        Glibc.close(descriptor)
    }

    private func receive() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return false }
        received += buffer.prefix(count)
        return true
    }
}

/// A complete answer with this body.
func answer(_ body: String, status: String = "200 OK", headers: String = "") -> String {
    "HTTP/1.1 \(status)\r\ncontent-length: \(body.utf8.count)\r\n\(headers)\r\n\(body)"
}

/// Stops this thread for a while.
func pause(milliseconds: Int) {
    usleep(UInt32(milliseconds) * 1_000)
}
