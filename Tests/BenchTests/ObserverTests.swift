import Core
import Glibc
import TestTools
import Testing
import Threads

@testable import Bench

/// What is read from `/proc`, from metrics and from wrk, and what follows from it.
@Suite struct ObserverTests {
    private let own = ProcessGroup(name: "tollgated", pids: [getpid()])

    @Test func `processor time of a process is seen, and of nobody none`() {
        let before = ProcessTable().cpuMicroseconds(of: own)
        let deadline = Deadline.after(seconds: 10)
        while ProcessTable().cpuMicroseconds(of: own) < before + 50_000 {
            if deadline.isPast { break }
        }
        #expect(!deadline.isPast)
        #expect(ProcessTable().cpuMicroseconds(of: ProcessGroup(name: "x", pids: [])) == 0)
    }

    @Test func `the machine has used more than this process, and goes on`() {
        let before = ProcessTable.machineMicroseconds
        #expect(before >= ProcessTable().cpuMicroseconds(of: own))
        #expect(Eventually.holds { ProcessTable.machineMicroseconds > before })
    }

    @Test func `children count with their parent, each once`() {
        let parent = ProcessGroup(name: "x", pids: [getppid()])
        let both = ProcessGroup(name: "x", pids: [getppid(), getpid()])
        let table = ProcessTable()
        #expect(table.cpuMicroseconds(of: parent) >= table.cpuMicroseconds(of: own))
        #expect(table.cpuMicroseconds(of: parent) == table.cpuMicroseconds(of: both))
    }

    @Test func `memory is seen, only of tollgated`() throws {
        let memory = try #require(Observer(processes: [own], adminURL: nil).memory)
        #expect(memory.rssKiB > 1_000)
        #expect((1...memory.rssKiB).contains(memory.pssKiB))
        let other = ProcessGroup(name: "redis", pids: [getpid()])
        #expect(Observer(processes: [other], adminURL: nil).memory == nil)
    }

    @Test func `a load is watched until it ends, and its error comes through`() throws {
        let observer = Observer(processes: [own], adminURL: nil)
        let (value, observation) = try observer.watch { () throws(BenchError) in 42 }
        #expect(value == 42)
        #expect(observation.cpu.map(\.part) == ["tollgated", Observer.ownName, Observer.othersName])
        #expect(observation.memoryPeak != nil)
        #expect(observation.redisBatch == nil)
        #expect(throws: BenchError.self) {
            _ = try observer.watch { () throws(BenchError) -> Int in throw .failed("no") }
        }
    }

    @Test func `the size of batches is what came between two moments`() {
        let before = Metrics(
            text: "# TYPE w_total counter\nw_total 10\nc_total 20\nc_max 9.0\nx{a=\"b\"} 1\n")
        let after = Metrics(text: "w_total 20\nc_total 50\nc_max 12.0\n")
        let size = Metrics.size(before, after, batches: "w", items: "c")
        #expect(size?.average == 3)
        #expect(size?.largest == 12)
        #expect(Metrics.size(after, after, batches: "w", items: "c")?.average == nil)
        #expect(Metrics.size(nil, after, batches: "w", items: "c") == nil)
    }

    @Test func `what the script writes at the end is found behind what wrk writes`() throws {
        let line =
            #"{"requests":100,"duration":2000000,"p50":1500,"p99":9000,"max":9999,"refused":20,"lost":3}"#
        let figures = try #require(LoadFigures(output: "Running 2s test\n  1 threads\n\(line)\n"))
        #expect(figures.perSecond == 40)
        #expect(figures.p50Milliseconds == 1.5)
        #expect(figures.p99Milliseconds == 9)
        #expect(figures.lost == 3)
        #expect(LoadFigures(output: "wrk: unable to connect\n") == nil)
    }

    @Test func `our own count has bounds, and no amounts once a price is unknown`() {
        var bounds = RequestBounds()
        bounds.add(answered: 10, unanswered: 2, cost: Money(nanodollars: 7))
        #expect(bounds.chargeMin == 70)
        #expect(bounds.chargeMax == 84)
        bounds.add(answered: 1, unanswered: 0, cost: nil)
        bounds.add(answered: 1, unanswered: 0, cost: Money(nanodollars: 7))
        #expect(bounds.answered == 12)
        #expect(bounds.unanswered == 2)
        #expect(bounds.chargeMin == nil)
        #expect(bounds.chargeMax == nil)
    }
}
