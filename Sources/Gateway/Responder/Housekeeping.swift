import CLinux
import FastCGI
import Glibc
import HTTPClient
import Quota
import Threads

/// What has to be done once a second, on a thread of its own: telling Redis whose images have changed, and giving memory back to the
/// system after a load.
///
/// Workers that were idle for long have ended by themselves. What remains is their providers' connections, which only this
/// thread closes, and what glibc keeps of freed memory: only the end of a heap returns by itself, and some long-lived byte
/// is always near it.
struct Housekeeping: Sendable {
    private let pool: ResponderPool
    private let httpClient: HTTPTransport
    private let quota: QuotaStore

    init(pool: ResponderPool, httpClient: HTTPTransport, quota: QuotaStore) {
        self.pool = pool
        self.httpClient = httpClient
        self.quota = quota
    }

    /// Makes threads share heaps: as many as there are cores, two at least.
    ///
    /// To be called before there are threads. glibc would make eight a core, and what is freed in one is of no use in the others;
    /// the rate of requests does not depend on it.
    static func limitHeaps() {
        // M_ARENA_MAX
        mallopt(-8, Int32(clamping: max(2, sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
    }

    /// Runs for as long as the process.
    func start() throws(WorkerThread.CreationError) {
        _ = try WorkerThread(name: "housekeeping", isDetached: true) {
            let pause = Signal()
            var moment = TrimMoment()
            while true {
                _ = pause.wait(until: .after(seconds: 1))
                // Redis does not answer: requests find that out, too.
                try? quota.tellDirty()
                let closed = httpClient.closeExpired()
                // Walks all heaps and locks one after another, some milliseconds each: hence not while a load goes on.
                if moment.hasCome(workers: pool.statistics.workers, closed: closed) { malloc_trim(0) }
            }
        }
    }
}

/// Finds the moment after a load at which there is freed memory to give back.
///
/// A second in which nothing more ended, when half of the workers there were at most have ended since the last such moment.
struct TrimMoment {
    private var workersMost = 0
    private var workersBefore = 0

    /// Takes what a second brought: how many workers there are, and how many idle connections were closed.
    mutating func hasCome(workers: Int, closed: Int) -> Bool {
        defer { workersBefore = workers }
        workersMost = max(workersMost, workers)
        let isMuchLess = workersMost > 0 && workers <= workersMost / 2
        guard isMuchLess, workers >= workersBefore, closed == 0 else { return false }
        workersMost = workers
        return true
    }
}
