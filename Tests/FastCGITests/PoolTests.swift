import FastCGI
import Foundation
import Glibc
import TestTools
import Testing
import Threads

@Suite struct PoolTests {
    @Test func `two hundred idle connections do not hold eight workers`() throws {
        let responder = try TestResponder(handler: echo)
        let clients = try (0..<200).map { _ in try responder.connect() }
        let start = Deadline.now
        for round in 0..<5 {
            for (index, client) in clients.enumerated() {
                client.send(Records.request(body: Array("\(round) \(index)".utf8)))
            }
            for (index, client) in clients.enumerated() {
                #expect(client.answer()?.hasSuffix("\(round) \(index)") == true)
            }
        }
        #expect(start.elapsedNanoseconds < 10_000_000_000)
        #expect(responder.becomesQuiet())
        let statistics = responder.pool.statistics
        #expect(statistics.connectionsIdle == 200)
        #expect(statistics.accepted == 200)
        #expect(statistics.served == 1_000)
        #expect(statistics.workers <= 8)
    }

    @Test func `the most recently idle worker is taken first`() throws {
        let responder = try TestResponder { exchange in
            let thread = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/thread-self")
            answer(exchange, "200 OK", thread ?? "")
        }
        let client = try responder.connect()
        var threads: [String] = []
        for _ in 0..<20 {
            // Idle is whoever is counted as such; the kernel knows of those that sleep in their wait.
            #expect(responder.becomesQuiet())
            #expect(Eventually.holds { threads.allSatisfy { isAsleep("/proc/" + $0) } })
            client.send(Records.request())
            let body = try #require(client.answer()).split(whereSeparator: \.isNewline).last
            threads.append(body.map(String.init) ?? "")
        }
        // Another worker may have become idle later now and then; taken in turns, they would change each time.
        #expect(zip(threads, threads.dropFirst()).count { $0 != $1 } < 5)
    }

    private func isAsleep(_ thread: String) -> Bool {
        let status = try? String(contentsOfFile: thread + "/stat", encoding: .utf8)
        return status?.split(separator: ")").last?.hasPrefix(" S") == true
    }

    @Test func `workers grow with the load and end when idle`() throws {
        var limits = ResponderLimits.small
        limits.workersMax = 64
        limits.workerIdleSeconds = 1
        let gate = Gate()
        let responder = try TestResponder(limits: limits) { exchange in
            gate.pass()
            answer(exchange, "200 OK", "done")
        }
        let clients = try (0..<40).map { _ in try responder.connect() }
        for client in clients { client.send(Records.request()) }
        #expect(Eventually.holds { gate.arrived == 40 })
        // A worker that begins is not idle yet.
        #expect(Eventually.holds { responder.pool.statistics.workersBusy == 40 })
        gate.open()
        for client in clients { #expect(client.answer()?.hasSuffix("done") == true) }
        #expect(Eventually.holds { responder.pool.statistics.workers == 2 })
        clients[0].send(Records.request())
        #expect(clients[0].answer()?.hasSuffix("done") == true)
    }

    @Test func `what exceeds the workers and the queue is answered at once`() throws {
        var limits = ResponderLimits.small
        limits.workersMax = 2
        limits.queueMax = 2
        let gate = Gate()
        let responder = try TestResponder(limits: limits) { exchange in
            gate.pass()
            answer(exchange, "200 OK", "done")
        }
        #expect(responder.becomesQuiet())
        let held = try (0..<4).map { _ in try responder.connect() }
        for (index, client) in held.enumerated() {
            client.send(Records.request())
            #expect(Eventually.holds { gate.arrived + responder.pool.statistics.queued == index + 1 })
        }
        for _ in 0..<10 {
            let refused = try responder.connect()
            refused.send(Records.request(body: [UInt8](repeating: 0, count: 100_000)))
            #expect(refused.answer()?.hasSuffix("overloaded") == true)
            // Kept, it would draw requests to where they are refused. The record before is for nginx, which then keeps it not either.
            #expect(refused.receive(8)?[1] == 11)
            #expect(refused.isClosedByResponder())
        }
        #expect(responder.pool.statistics.shed == 10)
        gate.open()
        for client in held { #expect(client.answer()?.hasSuffix("done") == true) }
        let client = held[0]
        client.send(Records.request())
        #expect(client.answer()?.hasSuffix("done") == true)
    }

    @Test func `a request does not wait for a worker longer than it may`() throws {
        var limits = ResponderLimits.small
        limits.workersMin = 1
        limits.workersMax = 1
        limits.queueTimeoutSeconds = 1
        let gate = Gate()
        let responder = try TestResponder(limits: limits) { exchange in
            gate.pass()
            answer(exchange, "200 OK", "done")
        }
        let running = try responder.connect()
        running.send(Records.request())
        #expect(Eventually.holds { gate.arrived == 1 })
        let waiting = try responder.connect()
        waiting.send(Records.request())
        #expect(waiting.answer()?.hasSuffix("overloaded") == true)
        gate.open()
        #expect(running.answer()?.hasSuffix("done") == true)
    }

    @Test func `requests are shed when no worker thread can be created`() throws {
        var limits = ResponderLimits.small
        limits.stackBytes = 1 << 46
        let responder = try TestResponder(limits: limits, handler: echo)
        for _ in 0..<3 {
            let client = try responder.connect()
            client.send(Records.request())
            #expect(client.answer()?.hasSuffix("overloaded") == true)
        }
    }

    @Test func `a burst beyond every bound is answered without losing one request`() throws {
        var limits = ResponderLimits.small
        limits.workersMax = 2
        limits.queueMax = 4
        limits.sheddingMax = 4
        let responder = try TestResponder(limits: limits) { exchange in
            usleep(2_000)
            answer(exchange, "200 OK", "done")
        }
        let clients = try (0..<300).map { _ in try responder.connect() }
        for client in clients { client.send(Records.request(keepsConnection: false)) }
        let answers = clients.map { $0.answer() }
        #expect(answers.allSatisfy { $0?.hasSuffix("done") == true || $0?.hasSuffix("overloaded") == true })
        #expect(answers.contains { $0?.hasSuffix("done") == true })
        let statistics = responder.pool.statistics
        #expect(statistics.served + statistics.shed == 300)
    }

    @Test func `connections beyond the bound wait to be accepted`() throws {
        var limits = ResponderLimits.small
        limits.connectionsMax = 3
        let responder = try TestResponder(limits: limits, handler: echo)
        var clients = try (0..<3).map { _ in try responder.connect() }
        for client in clients {
            client.send(Records.request())
            #expect(client.answer() != nil)
        }
        let fourth = try responder.connect()
        fourth.send(Records.request(body: Array("fourth".utf8)))
        usleep(100_000)
        #expect(responder.pool.statistics.connections == 3)
        clients.removeLast()
        #expect(fourth.answer()?.hasSuffix("fourth") == true)
    }

    @Test func `a connection that is idle too long is closed`() throws {
        var limits = ResponderLimits.small
        limits.connectionIdleSeconds = 1
        let responder = try TestResponder(limits: limits, handler: echo)
        let client = try responder.connect()
        client.send(Records.request())
        #expect(client.answer() != nil)
        #expect(client.isClosedByResponder())
        #expect(Eventually.holds { responder.pool.statistics.connections == 0 })
    }

    @Test func `a connection serves request after request`() throws {
        let responder = try TestResponder(handler: echo)
        let client = try responder.connect()
        for index in 0..<2_000 {
            client.send(Records.request(body: Array("\(index)".utf8)))
            #expect(client.answer()?.hasSuffix("\r\n\r\n\(index)") == true)
        }
        #expect(responder.pool.statistics.accepted == 1)
    }

    @Test func `descriptors beyond 1,024 are served`() throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
        let dummies = (0..<1_200).map { _ in fcntl(null, F_DUPFD_CLOEXEC, 0) }
        defer { for descriptor in dummies + [null] { close(descriptor) } }
        let note = Note<Int32>()
        let responder = try TestResponder { exchange in
            note.add(exchange.watchDescriptor)
            echo(exchange)
            _ = exchange.isClientGone()
        }
        let clients = try (0..<50).map { _ in try responder.connect() }
        for client in clients {
            client.send(Records.request(body: Array("high".utf8)))
            #expect(client.answer()?.hasSuffix("high") == true)
        }
        #expect(note.all.contains { $0 > 1_024 })
    }
}
