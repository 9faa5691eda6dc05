import FastCGI
import Glibc
import PrivateServers
import TestTools
import Testing
import Threads

@Suite struct NginxTests {
    @Test func `sixty-four clients behind nginx are all served over kept connections`() throws {
        var limits = ResponderLimits.small
        limits.workersMin = 8
        limits.workersMax = 32
        let responder = try TestResponder(limits: limits, socketMode: 0o666) { exchange in
            guard let body = try? exchange.readBody(bytesMax: 1_000_000) else { return }
            exchange.write("Status: 200 OK\r\nContent-Length: \(body.count)\r\n\r\n")
            exchange.write(body)
        }
        let nginx = try Nginx(responder: responder.path)
        let failures = Note<String>()
        let socket = nginx.socket
        try Concurrently.run(64) { client in
            for index in 0..<25 {
                let body = "client \(client) request \(index) " + String(repeating: "x", count: client * 300)
                let answer = post(body, to: socket)
                if answer?.hasPrefix("HTTP/1.1 200") != true || answer?.contains(body) != true {
                    failures.add(String((answer ?? "no answer").prefix(200)))
                }
            }
        }
        #expect(failures.all == [])
        let statistics = responder.pool.statistics
        #expect(statistics.served == 1_600)
        #expect(statistics.accepted < 200)
        nginx.stop()
    }

    @Test func `a pool that drains under load hands over to another without a failed request`() throws {
        let handler: @Sendable (Exchange) -> Void = { exchange in
            guard (try? exchange.readBody(bytesMax: 1_000_000)) != nil else { return }
            exchange.write("Status: 200 OK\r\nContent-Length: 4\r\n\r\ndone")
        }
        let responder = try TestResponder(socketMode: 0o666, handler: handler)
        let successor = try ResponderPool(
            listening: [responder.listener], limits: .small, overloaded: handler, handler: handler)
        let nginx = try Nginx(responder: responder.path)
        let socket = nginx.socket
        let failures = Note<String>()
        let clients = try Concurrently.begin(8) { _ in
            for _ in 0..<400 {
                let answer = post("{}", to: socket)
                if answer?.hasSuffix("done") != true {
                    failures.add(String((answer ?? "none").prefix(200)))
                }
            }
        }
        #expect(Eventually.holds { responder.pool.statistics.served > 100 })
        let running = try WorkerThread(name: "successor") { successor.run() }
        responder.pool.drain(seconds: 10)
        #expect(responder.hasEnded(within: 12))
        _ = try clients.wait()
        #expect(failures.all == [])
        #expect(responder.pool.statistics.served + successor.statistics.served == 3_200)
        successor.drain(seconds: 0)
        running.join()
        nginx.stop()
    }

    @Test func `a client that leaves nginx is seen by the responder`() throws {
        let arrived = Gate()
        arrived.open()
        let note = Note<Bool>()
        let responder = try TestResponder(socketMode: 0o666) { exchange in
            _ = try? exchange.readBody(bytesMax: 1_000)  // The client is this test.
            arrived.pass()
            var state = pollfd(fd: exchange.watchDescriptor, events: Int16(POLLIN), revents: 0)
            note.add(poll(&state, 1, 10_000) == 1 && exchange.isClientGone())
        }
        let nginx = try Nginx(responder: responder.path)
        let descriptor = try #require(TestSocket.connect(path: nginx.socket))
        TestSocket.send(
            Array("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}".utf8), on: descriptor)
        #expect(Eventually.holds { arrived.arrived == 1 })
        let start = Deadline.now
        close(descriptor)
        #expect(note.first() == true)
        #expect(start.elapsedNanoseconds < 1_000_000_000)
        nginx.stop()
    }
}

/// Sends one request on a connection of its own and returns the whole answer.
private func post(_ body: String, to socket: String) -> String? {
    guard let descriptor = TestSocket.connect(path: socket, timeoutSeconds: 20) else { return nil }
    defer { close(descriptor) }
    let head =
        "POST /v1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
    TestSocket.send(Array((head + body).utf8), on: descriptor)
    return TestSocket.receiveAll(descriptor)
}

/// A private nginx in a temporary folder, on unix sockets only.
private final class Nginx {
    let socket: String
    private let directory: TemporaryDirectory
    private let process: ChildProcess

    init(responder: String) throws {
        directory = try TemporaryDirectory()
        let folder = directory.path
        let socket = folder + "/http"
        self.socket = socket
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        let temporary = kinds.map { "\($0)_temp_path \(folder)/tmp;" }.joined(separator: " ")
        let configuration = """
            daemon off; master_process off; pid \(folder)/pid; error_log \(folder)/error.log warn;
            events { worker_connections 1024; }
            http {
                access_log off; \(temporary) client_body_buffer_size 64k;
                upstream responder { server unix:\(responder); keepalive 64; }
                server {
                    listen unix:\(socket) backlog=1024;
                    location / {
                        fastcgi_param REQUEST_METHOD $request_method;
                        fastcgi_param CONTENT_LENGTH $content_length;
                        fastcgi_pass responder; fastcgi_keep_conn on; fastcgi_buffering off;
                    }
                }
            }
            """
        let file = open(folder + "/nginx.conf", O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)
        _ = configuration.withCString { write(file, $0, strlen($0)) }
        close(file)
        process = try ChildProcess(
            ["/usr/sbin/nginx", "-p", folder, "-c", folder + "/nginx.conf", "-e", folder + "/error.log"],
            logPath: folder + "/log")
        let answers = Eventually.holds { TestSocket.connect(path: socket).map { close($0) } == 0 }
        try #require(answers, "nginx does not answer")
    }

    func stop() {
        process.terminate(signal: SIGQUIT, until: .after(seconds: 10))
    }
}
