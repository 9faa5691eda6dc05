import FastCGI
import Glibc
import TestTools
import Testing
import Threads

@Suite struct ClientGoneTests {
    enum Departure: CaseIterable {
        case close
        case halfClose
        case abort
    }

    /// Waits for the client as a silent provider would make a handler wait, and notes how long that took in milliseconds.
    private static func watch(_ exchange: Exchange, _ note: Note<Int>) {
        guard (try? exchange.readBody(bytesMax: 1_000)) != nil else { return note.add(-1) }
        let start = Deadline.now
        guard !exchange.isClientGone() else { return note.add(-2) }
        exchange.write("Status: 200 OK\r\n\r\n")
        try? exchange.flush()  // The client is this test.
        var state = pollfd(fd: exchange.watchDescriptor, events: Int16(POLLIN), revents: 0)
        _ = poll(&state, 1, 10_000)
        note.add(exchange.isClientGone() ? Int(start.elapsedNanoseconds / 1_000_000) : -3)
    }

    @Test(arguments: Departure.allCases)
    func `a client that goes away is seen within a second`(departure: Departure) throws {
        let note = Note<Int>()
        let responder = try TestResponder { Self.watch($0, note) }
        let client = try responder.connect()
        client.send(Records.request(body: Array("hello".utf8)))
        _ = client.receive(8)
        usleep(50_000)
        switch departure {
        case .close: client.close()
        case .halfClose: client.halfClose()
        case .abort: client.send(Records.record(2, []))
        }
        let milliseconds = try #require(note.first())
        #expect((0..<1_050).contains(milliseconds))
        client.close()
        #expect(Eventually.holds { responder.pool.statistics.connections == 0 })
    }

    @Test func `a client that waits is not gone`() throws {
        let responder = try TestResponder { exchange in
            _ = try? exchange.readBody(bytesMax: 1_000)  // It is empty.
            usleep(50_000)
            answer(exchange, "200 OK", "\(exchange.isClientGone())")
        }
        let client = try responder.connect()
        client.send(Records.request())
        #expect(client.answer()?.hasSuffix("false") == true)
    }

    @Test func `a flush tells that the client is gone`() throws {
        let gate = Gate()
        let note = Note<ExchangeError>()
        let responder = try TestResponder { exchange in
            gate.pass()
            do throws(ExchangeError) {
                exchange.write("Status: 200 OK\r\n\r\n")
                try exchange.flush()
                exchange.write("more")
                try exchange.flush()
            } catch {
                note.add(error)
                // After the first failure nothing is sent, and the error stays.
                exchange.write([UInt8](repeating: 0, count: 100_000))
                do throws(ExchangeError) { try exchange.flush() } catch { note.add(error) }
            }
        }
        let client = try responder.connect()
        client.send(Records.request())
        #expect(Eventually.holds { gate.arrived == 1 })
        client.close()
        gate.open()
        #expect(Eventually.holds { note.all == [.clientGone, .clientGone] })
        #expect(Eventually.holds { responder.pool.statistics.connections == 0 })
    }

    @Test func `a client that does not read meets the write deadline`() throws {
        var limits = ResponderLimits.small
        limits.writeTimeoutSeconds = 1
        let note = Note<ExchangeError>()
        let responder = try TestResponder(limits: limits) { exchange in
            exchange.write("Status: 200 OK\r\n\r\n")
            exchange.write([UInt8](repeating: 65, count: 4_000_000))
            do throws(ExchangeError) { try exchange.flush() } catch { note.add(error) }
        }
        let start = Deadline.now
        let slow = try responder.connect()
        slow.send(Records.request())
        #expect(note.first() == .writeTimedOut)
        #expect((900_000_000..<4_000_000_000).contains(start.elapsedNanoseconds))
        #expect(Eventually.holds { responder.pool.statistics.connections == 0 })
    }

    @Test func `slow readers do not slow others down`() throws {
        var limits = ResponderLimits.small
        limits.workersMax = 64
        limits.writeTimeoutSeconds = 15
        let responder = try TestResponder(limits: limits) { exchange in
            let isLarge = exchange.parameter("LARGE") != nil
            answer(exchange, "200 OK", String(repeating: "x", count: isLarge ? 1_000_000 : 10))
        }
        let slow = try (0..<40).map { _ in try responder.connect() }
        for client in slow { client.send(Records.request([("LARGE", "1")])) }
        let client = try responder.connect()
        let start = Deadline.now
        for _ in 0..<20 {
            client.send(Records.request())
            #expect(client.answer()?.hasSuffix("xxxxxxxxxx") == true)
        }
        #expect(start.elapsedNanoseconds < 5_000_000_000)
    }
}
