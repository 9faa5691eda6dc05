import FastCGI
import Glibc
import TestTools
import Testing
import Threads

@Suite struct DrainTests {
    @Test func `a pool without requests drains at once`() throws {
        let responder = try TestResponder(handler: echo)
        let client = try responder.connect()
        client.send(Records.request())
        #expect(client.answer() != nil)
        usleep(150_000)
        responder.pool.drain(seconds: 30)
        #expect(responder.hasEnded(within: 2))
        #expect(client.isClosedByResponder())
    }

    @Test func `what runs and what is queued is answered before the pool ends`() throws {
        var limits = ResponderLimits.small
        limits.workersMax = 2
        let gate = Gate()
        let responder = try TestResponder(limits: limits) { exchange in
            gate.pass()
            answer(exchange, "200 OK", "done")
        }
        let clients = try (0..<5).map { _ in try responder.connect() }
        for client in clients { client.send(Records.request()) }
        #expect(Eventually.holds { gate.arrived == 2 && responder.pool.statistics.queued == 3 })
        responder.pool.drain(seconds: 30)
        #expect(!responder.hasEnded(within: 1))
        gate.open()
        for client in clients {
            #expect(client.answer()?.hasSuffix("done") == true)
            // By the record after the end nginx knows that the connection is not kept.
            #expect(client.receive(8) == [1, 11, 0, 0, 0, 0, 0, 0])
            #expect(client.isClosedByResponder())
        }
        #expect(responder.hasEnded(within: 5))
        #expect(responder.pool.statistics.connections == 0)
    }

    @Test func `a kept connection serves once more while draining and then closes`() throws {
        var limits = ResponderLimits.small
        limits.drainIdleMilliseconds = 5_000
        let responder = try TestResponder(limits: limits, handler: echo)
        let client = try responder.connect()
        client.send(Records.request())
        #expect(client.answer() != nil)
        #expect(Eventually.holds { responder.pool.statistics.connectionsIdle == 1 })
        responder.pool.drain(seconds: 30)
        usleep(200_000)
        client.send(Records.request(body: Array("once more".utf8)))
        #expect(client.answer()?.hasSuffix("once more") == true)
        #expect(client.receive(8) != nil)
        #expect(client.isClosedByResponder())
        #expect(responder.hasEnded(within: 5))
    }

    @Test func `nothing new is accepted while draining`() throws {
        let gate = Gate()
        let responder = try TestResponder { exchange in
            gate.pass()
            answer(exchange, "200 OK", "done")
        }
        let running = try responder.connect()
        running.send(Records.request())
        #expect(Eventually.holds { gate.arrived == 1 })
        responder.pool.drain(seconds: 30)
        usleep(100_000)
        // It waits in the backlog, for another process that shares the socket.
        let late = try responder.connect()
        late.send(Records.request())
        gate.open()
        #expect(running.answer()?.hasSuffix("done") == true)
        #expect(responder.hasEnded(within: 5))
        #expect(gate.arrived == 1)
    }

    @Test func `requests are told to end when the drain deadline passes`() throws {
        let note = Note<Bool>()
        let responder = try TestResponder { exchange in
            var state = pollfd(fd: exchange.shutdownDescriptor, events: Int16(POLLIN), revents: 0)
            note.add(poll(&state, 1, 0) == 0)
            note.add(poll(&state, 1, 15_000) == 1)
            answer(exchange, "200 OK", "cut short")
        }
        let client = try responder.connect()
        client.send(Records.request())
        #expect(note.first() == true)
        let start = Deadline.now
        responder.pool.drain(seconds: 1)
        #expect(client.answer()?.hasSuffix("cut short") == true)
        #expect(start.elapsedNanoseconds > 900_000_000)
        #expect(responder.hasEnded(within: 5))
        #expect(note.all == [true, true])
    }

    @Test func `a request that does not end holds the pool no longer than the grace`() throws {
        let gate = Gate()
        let responder = try TestResponder { _ in gate.pass() }
        let client = try responder.connect()
        client.send(Records.request())
        #expect(Eventually.holds { gate.arrived == 1 })
        let start = Deadline.now
        responder.pool.drain(seconds: 1)
        #expect(responder.hasEnded(within: 10))
        #expect((1_900_000_000..<6_000_000_000).contains(start.elapsedNanoseconds))
        gate.open()
        #expect(Eventually.holds { responder.pool.statistics.workers == 0 })
    }

    @Test func `what is still queued at the deadline is answered by overloaded`() throws {
        var limits = ResponderLimits.small
        limits.workersMin = 1
        limits.workersMax = 1
        let gate = Gate()
        let responder = try TestResponder(limits: limits) { exchange in
            gate.pass()
            answer(exchange, "200 OK", "done")
        }
        let clients = try (0..<2).map { _ in try responder.connect() }
        clients[0].send(Records.request())
        #expect(Eventually.holds { gate.arrived == 1 })
        clients[1].send(Records.request())
        #expect(Eventually.holds { responder.pool.statistics.queued == 1 })
        responder.pool.drain(seconds: 1)
        #expect(clients[1].answer()?.hasSuffix("overloaded") == true)
        gate.open()
        #expect(clients[0].answer()?.hasSuffix("done") == true)
    }
}
