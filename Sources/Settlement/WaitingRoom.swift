import Core
import Quota
import Synchronization
import Threads

/// How long requests may wait for money that only outstanding holds of their tenant keep from them.
package struct SettleWait: Sendable {
    /// The longest wait of one request; 0 means that nobody waits.
    package var milliseconds: Int
    /// The most that may wait, each of which keeps a worker.
    package var waitersMax: Int
    /// The most of one tenant that may wait.
    package var tenantWaitersMax: Int
    /// After how long the first of a line looks for itself: what other processes settle may not be heard of.
    package var lookMilliseconds: Int

    /// Creates a rule.
    package init(
        milliseconds: Int, waitersMax: Int, tenantWaitersMax: Int = 64, lookMilliseconds: Int = 1_000
    ) {
        self.lookMilliseconds = lookMilliseconds
        self.milliseconds = milliseconds
        self.waitersMax = waitersMax
        self.tenantWaitersMax = tenantWaitersMax
    }

    /// Nobody waits.
    package static let none = SettleWait(milliseconds: 0, waitersMax: 0)
}

/// Who waits behind one another: the requests of a tenant, but those of an API key with a budget among themselves, because what keeps
/// them may be in nobody else's way.
struct WaitingLine: Sendable, Hashable {
    let tenant: TenantID
    let key: APIKeyID?

    /// The line of an order.
    init(_ order: ReserveOrder) {
        tenant = order.tenant
        key = order.hasBudget ? order.key : nil
    }
}

/// Where requests stand that wait until holds of their tenant end.
///
/// First come, first served: whoever comes while others of the line wait stands behind them. Only the first is called, when a hold of
/// the tenant has ended, and when it leaves, the next. What other processes settle is heard of through Redis. Any number of threads may
/// use it.
final class WaitingRoom: Sendable {
    /// Somebody who waits.
    final class Place: @unchecked Sendable {
        // `isCalled` is guarded by the room's lock.
        fileprivate let line: WaitingLine
        fileprivate let call = Signal()
        fileprivate var isCalled = false

        fileprivate init(_ line: WaitingLine) {
            self.line = line
        }
    }

    private struct Line {
        var places: [Place] = []
        /// Why the first one waits, for those who come when the line is full.
        var refusal: QuotaRefusal?
    }

    private let rule: SettleWait
    private let lines = Locked<[WaitingLine: Line]>([:])
    // Raised before the first look at the image and read after each settlement of it, so that no call is missed.
    private let count = Atomic<Int>(0)

    init(_ rule: SettleWait) {
        self.rule = rule
    }

    /// Until when somebody who comes now may wait.
    var deadline: Deadline { .after(milliseconds: rule.milliseconds) }

    /// How many wait.
    var waitingCount: Int { count.load(ordering: .sequentiallyConsistent) }

    /// Whether anybody may wait at all.
    var isOpen: Bool { rule.milliseconds > 0 && rule.waitersMax > 0 }

    /// Whether somebody of the line waits.
    func isOccupied(by line: WaitingLine) -> Bool {
        count.load(ordering: .sequentiallyConsistent) > 0 && lines.withLock { $0[line] != nil }
    }

    /// Stands at the end of a line; nil when too many wait already.
    func enter(_ line: WaitingLine) -> Place? {
        let place = Place(line)
        let isIn = lines.withLock { lines in
            guard count.load(ordering: .sequentiallyConsistent) < rule.waitersMax,
                lines[line]?.places.count ?? 0 < rule.tenantWaitersMax
            else { return false }
            count.add(1, ordering: .sequentiallyConsistent)
            // The first needs no call to try.
            if lines[line] == nil { call(place) }
            lines[line, default: Line()].places.append(place)
            return true
        }
        return isIn ? place : nil
    }

    /// Waits until it is this one's turn to try; false when the deadline passed first.
    func wait(_ place: Place, until deadline: Deadline) -> Bool {
        while true {
            if place.call.wait(until: min(deadline, .after(milliseconds: rule.lookMilliseconds))) {
                lines.withLock { _ in place.isCalled = false }
                return true
            }
            guard !deadline.isPast else { return false }
            if lines.withLock({ $0[place.line]?.places.first === place }) { return true }
        }
    }

    /// Notes why the first of the line has to wait on.
    func note(_ refusal: QuotaRefusal, for place: Place) {
        lines.withLock { $0[place.line]?.refusal = refusal }
    }

    /// Why the first of a line waits.
    func refusal(of line: WaitingLine) -> QuotaRefusal? {
        lines.withLock { $0[line]?.refusal }
    }

    /// Leaves the line, and lets the next one try when this was the first.
    func leave(_ place: Place) {
        lines.withLock { lines in
            guard var line = lines[place.line],
                let position = line.places.firstIndex(where: { $0 === place })
            else { return }
            line.places.remove(at: position)
            lines[place.line] = line.places.isEmpty ? nil : line
            count.subtract(1, ordering: .sequentiallyConsistent)
            if position == 0, let next = line.places.first { call(next) }
        }
    }

    /// Calls the first of each of the tenant's lines: money may be free.
    func noteSettled(_ tenant: TenantID) {
        guard count.load(ordering: .sequentiallyConsistent) > 0 else { return }
        lines.withLock { lines in
            for (line, standing) in lines where line.tenant == tenant {
                if let first = standing.places.first { call(first) }
            }
        }
    }

    // Called with the lock held: many calls before the one who is called has looked are one.
    private func call(_ place: Place) {
        guard !place.isCalled else { return }
        place.isCalled = true
        place.call.wake()
    }
}

extension QuotaRefusal {
    /// Whether it is money that is missing, which holds may have taken.
    var isOfMoney: Bool { limit == .balance || limit == .budget }

    /// Whether the request, of an API key, which can do with that amount, could be admitted if outstanding holds ended and cost nothing.
    ///
    /// Requests are not kept waiting for a limit of how many may run: it is there to refuse them.
    func isForHolds(_ holds: [StoredHold], amount: Money, key: APIKeyID?) -> Bool {
        switch limit {
        case .balance:
            // Sums of holds and balances are within the exact range of an image.
            let held = holds.reduce(Int64(0)) { $0 + $1.amount.nanodollars }
            return held > 0 && balance.nanodollars + limitValue + held >= amount.nanodollars
        case .budget:
            let ofKey = holds.filter { $0.key == key?.description }
            let held = ofKey.reduce(Int64(0)) { $0 + $1.amount.nanodollars }
            return held > 0 && limitValue - used + held >= amount.nanodollars
        case .dailyQuota, .monthlyQuota, .requestsPerMinute, .tokensPerMinute, .concurrency: return false
        }
    }
}
