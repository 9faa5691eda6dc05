package import CoreMetrics
import Threads

/// How long the settlement lane's trips to the stores take, for `/metrics`.
package struct TripTimes: Sendable {
    private let redis: (any TimerHandler)?
    private let ledger: (any TimerHandler)?

    /// Nobody is told.
    package static let untold = TripTimes(redis: nil, ledger: nil)

    private init(redis: (any TimerHandler)?, ledger: (any TimerHandler)?) {
        self.redis = redis
        self.ledger = ledger
    }

    /// Creates the histograms `tollgate_store_seconds`.
    package init(_ metrics: any MetricsFactory) {
        func timer(_ store: String) -> any TimerHandler {
            metrics.makeTimer(label: "tollgate_store_seconds", dimensions: [("store", store)])
        }
        self.init(redis: timer("redis"), ledger: timer("postgresql"))
    }

    func noteRedis(since began: Deadline) { redis?.recordNanoseconds(began.elapsedNanoseconds) }
    func noteLedger(since began: Deadline) { ledger?.recordNanoseconds(began.elapsedNanoseconds) }
}
