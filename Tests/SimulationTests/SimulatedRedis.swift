import Core
import Ledger
import Settlement

@testable import Quota

/// A tenant's hash.
struct SimulatedImage: Equatable {
    var incarnation: Int64 = 0
    var epoch: Int64 = 0
    var balance: Int64 = 0
    var limits = SimulatedLimits()
    var day: Int32 = 0
    var dailyUsed: Int64 = 0
    var month: Int32 = 0
    var monthlyUsed: Int64 = 0
    var ver: Int64 = 0
    var creditSequence: Int64 = 0
}

/// What a tenant may do; a negative quota is none.
struct SimulatedLimits: Equatable {
    var version: Int64 = 1
    var creditLimit: Int64 = 0
    var dailyQuota: Int64 = -1
    var monthlyQuota: Int64 = -1
}

/// A field of the tenant's holds.
struct SimulatedHold: Equatable {
    var isHeld = false
    var amount: Int64 = 0
    var epoch: Int64 = 0
    var rseq: Int64 = 0
    var day: Int32 = 0
}

/// One tenant in Redis, and what the scripts do to it: the protocol's words in Swift, not the Lua.
struct SimulatedRedis: Equatable {
    var life: Int64 = 1
    var image: SimulatedImage?
    var holds: [SimulatedHold]
    private var leaseToken: Int64 = 0
    private var leaseUntil: Int64 = 0

    init(traces: Int) {
        holds = Array(repeating: SimulatedHold(), count: traces)
    }

    /// The image if it is of the life whose number the caller gives.
    private func image(of incarnation: Int64, _ breakage: Breakage?) -> SimulatedImage? {
        guard let image, image.incarnation == incarnation || breakage == .incarnationIgnored else {
            return nil
        }
        return image
    }

    // MARK: - Holds

    mutating func deduct(
        _ call: RedisCall, trace: Int, amount asked: Int64, least: Int64, day wanted: Int32,
        _ breakage: Breakage?
    ) -> DeductReply {
        guard !call.isLate || breakage == .notAfterIgnored else { return .late }
        guard var image = image(of: call.incarnation, breakage) else { return .missing }
        if holds[trace].isHeld {
            let amount = holds[trace].amount
            guard (least...asked).contains(amount) else { return .conflict }
            return .held(held(trace, image, before: image.balance + amount))
        }
        // A host whose clock is behind must not reopen a period that has ended.
        let day = max(wanted, image.day)
        let month = max(wanted / 100, image.month)
        let dailyUsed = day == image.day ? image.dailyUsed : 0
        let monthlyUsed = month == image.month ? image.monthlyUsed : 0
        let limits = image.limits
        if limits.dailyQuota >= 0, dailyUsed >= limits.dailyQuota { return refusal(.dailyQuota, image) }
        if limits.monthlyQuota >= 0, monthlyUsed >= limits.monthlyQuota {
            return refusal(.monthlyQuota, image)
        }
        // All that is left will do, if no other hold can give any back.
        let left = image.balance + limits.creditLimit
        let isAll = left >= least && (!holds.contains(where: \.isHeld) || breakage == .loweredBesideHolds)
        let amount = left < asked && isAll ? left : asked
        guard image.balance - amount + limits.creditLimit >= 0 else { return refusal(.balance, image) }
        image.balance -= amount
        image.day = day
        image.month = month
        image.dailyUsed = dailyUsed + 1
        image.monthlyUsed = monthlyUsed + 1
        image.ver += 1
        self.image = image
        holds[trace] = SimulatedHold(
            isHeld: true, amount: amount, epoch: image.epoch, rseq: image.ver, day: day)
        return .held(held(trace, image, before: image.balance + amount))
    }

    private func held(_ trace: Int, _ image: SimulatedImage, before: Int64) -> HeldAmount {
        let hold = holds[trace]
        return HeldAmount(
            epoch: hold.epoch, rseq: hold.rseq, balanceBefore: Money(nanodollars: before),
            balanceAfter: Money(nanodollars: image.balance), dailyUsed: image.dailyUsed,
            monthlyUsed: image.monthlyUsed, dailyQuota: nil, monthlyQuota: nil,
            limitsVersion: image.limits.version, period: Period(day: hold.day))
    }

    private func refusal(_ limit: QuotaLimit, _ image: SimulatedImage) -> DeductReply {
        .refused(
            QuotaRefusal(
                limit: limit, epoch: image.epoch, creditSequence: image.creditSequence,
                limitsVersion: image.limits.version, balance: Money(nanodollars: image.balance),
                limitValue: 0, used: 0))
    }

    mutating func settle(_ call: RedisCall, _ end: HoldEnd, _ breakage: Breakage?) -> SettleReply {
        guard var image = image(of: call.incarnation, breakage) else { return .missing }
        var hold = holds[end.trace]
        if breakage == .refundBlind {
            hold = SimulatedHold(
                isHeld: true, amount: end.amount, epoch: end.epoch, rseq: end.rseq, day: end.day)
        }
        guard hold.isHeld, hold.epoch == end.epoch, hold.rseq == end.rseq else {
            return .gone(balance: Money(nanodollars: image.balance))
        }
        image.balance += hold.amount - end.end.charge.nanodollars
        if end.end.status == .voided {
            let isAnyPeriod = breakage == .refundAcrossPeriods
            if hold.day == image.day || isAnyPeriod { image.dailyUsed -= 1 }
            if hold.day / 100 == image.month || isAnyPeriod { image.monthlyUsed -= 1 }
        }
        holds[end.trace] = SimulatedHold()
        self.image = image
        return .settled(balance: Money(nanodollars: image.balance))
    }

    mutating func extend(
        _ call: RedisCall, trace: Int, to amount: Int64, _ breakage: Breakage?
    ) -> ExtendReply {
        guard !call.isLate || breakage == .notAfterIgnored else { return .late }
        guard var image = image(of: call.incarnation, breakage) else { return .missing }
        guard holds[trace].isHeld else { return .gone }
        let more = amount - holds[trace].amount
        guard more > 0 else {
            return .extended(Money(nanodollars: holds[trace].amount), epoch: image.epoch)
        }
        let taken = min(more, image.balance + image.limits.creditLimit)
        guard taken > 0 else {
            return .refused(
                epoch: image.epoch, creditSequence: image.creditSequence,
                limitsVersion: image.limits.version)
        }
        image.balance -= taken
        holds[trace].amount += taken
        self.image = image
        return .extended(Money(nanodollars: holds[trace].amount), epoch: image.epoch)
    }

    // MARK: - Credits

    mutating func credit(
        _ call: RedisCall, sequence: Int64, amount: Int64, _ breakage: Breakage?
    ) -> CreditReply {
        guard var image = image(of: call.incarnation, breakage) else { return .missing }
        if breakage != .creditUnordered {
            if sequence <= image.creditSequence { return .done(balance: Money(nanodollars: image.balance)) }
            if sequence > image.creditSequence + 1 { return .gap(known: image.creditSequence) }
        }
        image.balance += amount
        image.creditSequence = max(sequence, image.creditSequence)
        self.image = image
        return .applied(balance: Money(nanodollars: image.balance))
    }

    // MARK: - The image

    mutating func drop(unlessEpoch epoch: Int64, creditSequence: Int64, limitsVersion: Int64) {
        guard let image else { return }
        let isCurrent =
            image.epoch == epoch && image.creditSequence >= creditSequence
            && image.limits.version >= limitsVersion
        if !isCurrent { removeImage() }
    }

    mutating func takeLease(
        _ call: RedisCall, token: Int64, milliseconds: Int64, _ breakage: Breakage?
    ) -> LeaseReply {
        if image(of: call.incarnation, breakage) != nil { return .warm }
        if leaseUntil > call.now, leaseToken != token { return .busy }
        leaseToken = token
        leaseUntil = call.now + milliseconds
        return .taken(epochSeen: image?.epoch ?? 0)
    }

    mutating func install(
        _ call: RedisCall, token: Int64, epoch: Int64, _ snapshot: SimulatedSnapshot
    ) -> InstallReply {
        guard leaseUntil > call.now, leaseToken == token else { return .lost }
        if let image, image.epoch >= epoch { return .newer }
        image = SimulatedImage(
            incarnation: call.incarnation, epoch: epoch, balance: snapshot.balance, limits: snapshot.limits,
            day: snapshot.day, dailyUsed: snapshot.dailyUsed, month: snapshot.day / 100,
            monthlyUsed: snapshot.monthlyUsed, ver: 0, creditSequence: snapshot.creditSequence)
        holds = snapshot.holds
        leaseUntil = 0
        return .installed
    }

    // MARK: - Faults

    mutating func removeImage() {
        image = nil
        holds = Array(repeating: SimulatedHold(), count: holds.count)
    }

    /// Forgets everything and lives on.
    mutating func flush() {
        removeImage()
        leaseUntil = 0
    }

    /// Starts anew with what an earlier moment had put on disk.
    mutating func restart(with saved: SimulatedRedis) {
        let next = life + 1
        self = saved
        life = next
    }
}

/// What every script is given besides its arguments.
struct RedisCall {
    /// The number under which the caller knows the life it talks to; 0 when it does not know it.
    var incarnation: Int64
    /// Redis' clock.
    var now: Int64
    /// Until when the caller waits.
    var notAfter: Int64

    var isLate: Bool { now > notAfter }
}

/// The end of a hold: which one, and how its row ended.
struct HoldEnd {
    var trace: Int
    var epoch: Int64
    var rseq: Int64
    var amount: Int64
    var day: Int32
    var end: RowEnd
}

extension HoldEnd {
    /// The end of a hold as Redis has it: voided, until its row says otherwise.
    init(_ trace: Int, _ hold: SimulatedHold) {
        self.init(
            trace: trace, epoch: hold.epoch, rseq: hold.rseq, amount: hold.amount, day: hold.day,
            end: RowEnd(charge: .zero, status: .voided))
    }
}
