// What must be true, after every step and in the end.
extension Simulation {
    /// Whether scripts would accept the image that stands.
    private var hasImage: Bool {
        breakage == .incarnationIgnored
            ? redis.image != nil : redis.image?.incarnation == number(of: redis.life, ledger.mode.change)
    }

    /// Whether an image stands that some process may believe in that has not heard of the last change of the mode.
    private var hasImageOfLife: Bool {
        redis.image.map { $0.incarnation / Simulation.changesMax == redis.life } ?? false
    }

    func checkInvariants() {
        checkLedger()
        checkChargedOnce()
        if hasImage || hasImageOfLife, let image = redis.image { checkImage(image) }
    }

    private func checkLedger() {
        var charged: Int64 = 0
        var held: Int64 = 0
        for row in ledger.rows {
            switch row.state {
            case .pending: held += row.hold
            case .committed:
                charged += row.charge
                if row.charge < 0 || row.charge > row.hold {
                    violate("I6: a charge of \(row.charge) on a hold of \(row.hold)")
                }
            case .absent, .open, .voided: break
            }
        }
        if charged + held > ledger.credited + creditLimitMax {
            violate(
                "I3: \(charged) charged and \(held) held of \(ledger.credited) and a limit of \(creditLimitMax)"
            )
        }
    }

    private func checkImage(_ image: SimulatedImage) {
        if image.balance < -creditLimitMax { violate("I4: a balance of \(image.balance)") }
        if image.dailyUsed < 0 || image.monthlyUsed < 0 { violate("I4: a negative count") }
        var expected: Int64 = 0
        for index in ledger.credits.indices where index < image.creditSequence {
            expected += ledger.credits[index].amount
        }
        var standing = image.balance
        var daily: Int64 = 0
        var monthly: Int64 = 0
        for trace in redis.holds.indices {
            let hold = redis.holds[trace]
            let row = ledger.rows[trace]
            if row.state == .pending, image.epoch == ledger.epoch, !hold.isHeld || hold.amount < row.hold {
                // Its money could be taken once more.
                violate("I2: #\(trace) holds \(row.hold) in the ledger and \(hold.amount) in Redis")
            }
            if hold.isHeld {
                standing += hold.amount
                if hold.day == image.day { daily += 1 }
                if hold.day / 100 == image.month { monthly += 1 }
            } else if row.state == .committed,
                row.epoch < image.epoch || (row.epoch == image.epoch && row.rseq <= image.ver)
            {
                expected -= row.charge
                if row.day == image.day { daily += 1 }
                if row.day / 100 == image.month { monthly += 1 }
            }
        }
        if standing != expected { violate("I2: Redis has \(standing), the ledger \(expected)") }
        if image.dailyUsed != daily {
            violate("I2: \(image.dailyUsed) counted on \(image.day), not \(daily)")
        }
        if image.monthlyUsed != monthly {
            violate("I2: \(image.monthlyUsed) counted in a month, not \(monthly)")
        }
    }

    /// I13: a provider is called under a key when all that were called under it before are voided.
    func checkCalledOnce(_ trace: Int) {
        truths[trace].wasCalled = true
        guard keys[trace] >= 0 else { return }
        for other in keys.indices where other != trace && keys[other] == keys[trace] {
            if truths[other].wasCalled, ledger.rows[other].state != .voided {
                violate("I13: #\(trace) is called under the key of #\(other)")
            }
        }
    }

    /// I13: under one key one request is charged at most.
    private func checkChargedOnce() {
        var charged = [Bool](repeating: false, count: Simulation.keysMax)
        for trace in keys.indices where keys[trace] >= 0 && ledger.rows[trace].state == .committed {
            if charged[keys[trace]] { violate("I13: #\(trace) is the second charge under its key") }
            charged[keys[trace]] = true
        }
    }

    // MARK: - In the end

    /// Lets everything come to rest without further faults, and compares the books.
    func drain() {
        note("draining")
        hasFaults = false
        isDraining = true
        for index in processes.indices {
            processes[index].isStalled = false
            processes[index].cutOffUntil = 0
        }
        settleDown()
        // Whoever has died is known to be dead by now, and no reservation is still on its way.
        now += graceMilliseconds + 1_000
        sweepsLeft = 1
        settleDown()
        guard violation == nil else { return }
        for trace in ledger.rows.indices {
            if ledger.rows[trace].state == .pending { violate("I16: #\(trace) is pending after a sweep") }
            if hasImage, redis.holds[trace].isHeld { violate("I16: #\(trace) is held after a sweep") }
            checkClient(trace)
            checkTask(trace)
        }
        checkBooks()
    }

    /// Runs until nobody can do anything any more.
    private func settleDown() {
        let limit = steps + 5_000
        while violation == nil, steps < limit, step() {}
        if steps >= limit { violate("it does not come to rest") }
    }

    /// What the client knows agrees with what it pays.
    private func checkClient(_ trace: Int) {
        let truth = truths[trace]
        let row = ledger.rows[trace]
        let isCommitted = row.state == .committed
        switch truth.client {
        case .answered:
            if !isCommitted || row.charge != truth.charge { violate("I10: #\(trace) is not charged as told") }
        case .refused:
            let refund = Simulation.refundID(of: trace)
            let isRefunded = ledger.credits.contains { $0.externalID == refund && $0.amount == row.charge }
            if isCommitted, !isRefunded, !truth.isRefundLost {
                violate("I11: #\(trace) failed and is charged")
            }
        case .interrupted:
            if !truth.hadOwnerDie, !isCommitted || row.charge != truth.charge {
                violate("I12: #\(trace) was delivered and is not charged")
            }
        case .waits, .cut: break
        }
    }

    /// What a commit has written is done in the end, and nothing else is.
    private func checkTask(_ trace: Int) {
        let isOwed = ledger.rows[trace].broughtTask
        if isOwed, truths[trace].tasksDone == 0 { violate("T1: the task of #\(trace) is never done") }
        if !isOwed, truths[trace].tasksDone > 0 { violate("T2: #\(trace) has brought no task") }
    }

    private func checkBooks() {
        let before = redis.image
        if !hasImage { rebuildImage() }
        checkExact()
        // Again, from the same books.
        redis.flush()
        rebuildImage()
        checkExact()
        guard violation == nil, breakage != .incarnationIgnored, let before,
            before.incarnation == number(of: redis.life, ledger.mode.change), let after = redis.image
        else { return }
        if before.balance != after.balance { violate("I17: a rebuild has changed the balance") }
    }

    private func rebuildImage() {
        guard violation == nil else { return }
        beginRebuild(threads[0], for: .idle)
        settleDown()
        if !hasImage { violate("I17: no image could be made") }
    }

    /// I1: both sides agree to the nano-dollar.
    private func checkExact() {
        guard violation == nil, let image = redis.image else { return }
        var expected = ledger.credited
        for row in ledger.rows where row.state == .committed { expected -= row.charge }
        if image.balance != expected {
            violate("I1: a balance of \(image.balance) instead of \(expected)")
        }
    }
}
