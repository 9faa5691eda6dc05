import CLinux
import FastCGI
import Glibc
import TestTools
import Testing
import Threads

/// Several pools on one listening socket, as the processes of a host have it.
@Suite struct SharedSocketTests {
    @Test func `pools that share a socket take turns, also when there is little to do`() throws {
        let first = try TestResponder(handler: echo)
        let second = try TestResponder(sharing: first, handler: echo)
        // One after another: both are waiting each time.
        let clients = try (0..<40).map { number in
            let client = try first.connect()
            client.send(Records.request(body: Array("\(number)".utf8)))
            #expect(client.answer()?.hasSuffix("\(number)") == true)
            return client
        }
        let accepted = [first, second].map(\.pool.statistics.accepted)
        #expect(accepted.reduce(0, +) == clients.count)
        #expect(accepted.allSatisfy { $0 >= 10 }, "\(accepted)")
    }

    @Test func `what a full pool leaves is taken by another, and by itself when there is none`() throws {
        let full = try TestResponder(handler: echo)
        let limit = full.pool.limits.workersMax
        var clients = try (0..<3 * limit).map { _ in try full.connect() }
        // More than it has workers, and nobody else to take them.
        #expect(Eventually.holds { full.pool.statistics.accepted == 3 * limit })

        var limits = ResponderLimits.small
        limits.workersMax = 100
        let other = try TestResponder(limits: limits, sharing: full, handler: echo)
        #expect(Eventually.holds { other.pool.statistics.workers > 0 })
        for count in 1...40 {
            clients.append(try full.connect())
            #expect(
                Eventually.holds {
                    full.pool.statistics.accepted + other.pool.statistics.accepted == 3 * limit + count
                })
        }
        // By turns it would be half of them.
        #expect(other.pool.statistics.accepted >= 26, "\(other.pool.statistics)")
        for client in clients {
            client.send(Records.request())
            #expect(client.answer() != nil)
        }
    }

    @Test func `a connection whose wake-up went to somebody who does not take it is served by another`()
        throws
    {
        let first = try TestResponder(handler: echo)
        // Ends like a process that is killed between its wake-up and its accept.
        let epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        defer { close(epoll) }
        let listener = first.listener
        let sleeper = try WorkerThread(name: "sleeper") {
            var event = epoll_event(
                events: EPOLLIN.rawValue | EPOLLEXCLUSIVE.rawValue, data: epoll_data_t(fd: listener))
            epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event)
            epoll_wait(epoll, &event, 1, 10_000)
            epoll_ctl(epoll, EPOLL_CTL_DEL, listener, nil)
        }
        // Time to fall asleep, so that it is the first whom the kernel wakes.
        usleep(200_000)
        let second = try TestResponder(sharing: first, handler: echo)
        #expect(Eventually.holds { second.pool.statistics.workers > 0 })
        first.pool.drain(seconds: 0)
        #expect(first.hasEnded(within: 10))
        let client = try first.connect()
        sleeper.join()
        client.send(Records.request(body: Array("hello".utf8)))
        #expect(client.answer()?.hasSuffix("hello") == true)
    }
}
