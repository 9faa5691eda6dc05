package import Core
package import Redis
package import Threads

/// The hot side of the money: every tenant's image in Redis, changed only by scripts.
///
/// An image belongs to one incarnation of Redis. `incarnation` gives the number of the life a connection talks to, or 0 while it
/// is not known; no image has that number, so every script then answers that the image is missing.
package final class QuotaStore: Sendable {
    private let redis: RedisClient
    private let incarnation: @Sendable (RedisIdentity) -> Int64
    private let refusedMayWait: Bool
    let dirty = DirtyTenants()

    /// Creates the store.
    ///
    /// - Parameters:
    ///   - redis: Where the images are.
    ///   - refusedMayWait: Whether who is refused while others hold money may wait for it: then settlements tell.
    ///   - incarnation: The registered number of a Redis life, 0 when unknown. Called on the thread that sends; no I/O.
    package init(
        redis: RedisClient, refusedMayWait: Bool = false,
        incarnation: @escaping @Sendable (RedisIdentity) -> Int64
    ) {
        self.redis = redis
        self.refusedMayWait = refusedMayWait
        self.incarnation = incarnation
    }

    /// Takes a hold, all or nothing; the same order again is answered the same way.
    package func deduct(_ order: HoldOrder) throws(QuotaError) -> DeductReply {
        let replies = exchange(settling: [], taking: [order], meanwhile: {}).deducted
        guard let reply = replies.first else { preconditionFailure("an order has a reply") }
        return try reply.get()
    }

    /// Settles holds and takes others in one round trip, the former first, and answers each in its order.
    ///
    /// - Parameter meanwhile: Runs once on some thread when all is sent, before the replies are waited for; not at all when it could
    ///   not be sent.
    package func exchange(
        settling settlements: [HoldSettlement], taking orders: [HoldOrder],
        meanwhile: @escaping @Sendable () -> Void
    ) -> (settled: [Result<SettleReply, QuotaError>], deducted: [Result<DeductReply, QuotaError>]) {
        let settling = TenantBatch.batches(of: settlements)
        let taking = TenantBatch.batches(of: orders)
        dirty.note(settling)
        dirty.note(taking)
        var settled = [Result<SettleReply, QuotaError>](
            repeating: .failure(.overloaded), count: settlements.count)
        var deducted = [Result<DeductReply, QuotaError>](
            repeating: .failure(.overloaded), count: orders.count)
        do throws(RedisError) {
            let results = try redis.evaluate(
                settling.map { call(settling: settlements, $0) } + taking.map { call(taking: orders, $0) },
                meanwhile: meanwhile)
            for (batch, result) in zip(settling, results) {
                batch.spread(result, of: QuotaScripts.settle, over: &settled)
            }
            for (batch, result) in zip(taking, results.dropFirst(settling.count)) {
                batch.spread(result, of: QuotaScripts.deduct, over: &deducted)
            }
        } catch {
            for place in settled.indices { settled[place] = .failure(QuotaError(error)) }
            for place in deducted.indices { deducted[place] = .failure(QuotaError(error)) }
        }
        return (settled, deducted)
    }

    private func call(taking orders: [HoldOrder], _ batch: TenantBatch) -> ScriptCall {
        let keys = QuotaKeys(batch.tenant)
        let hashes = [keys.tenant, keys.holds] + batch.budgetHashes(for: orders)
        return ScriptCall(QuotaScripts.deduct, keys: hashes) {
            [incarnation, refusedMayWait] arguments, facts in
            arguments.add(incarnation(facts.identity))
            arguments.add(facts.notAfterMicroseconds)
            arguments.add(batch.places.reduce(0) { max($0, orders[$1].limitsVersion) })
            arguments.add(refusedMayWait ? 1 : 0)
            for place in batch.places {
                let order = orders[place]
                order.trace.withUTF8 { arguments.add($0) }
                arguments.add(order.amount.nanodollars)
                arguments.add(order.key?.description ?? "")
                arguments.add(Int64(order.period.day))
                arguments.add(order.tokens)
                arguments.add(order.least.nanodollars)
            }
        }
    }

    /// Settles a hold that its row in the ledger has ended: gives back what was not charged.
    package func settle(_ settlement: HoldSettlement) throws(QuotaError) -> SettleReply {
        let replies = exchange(settling: [settlement], taking: [], meanwhile: {}).settled
        guard let reply = replies.first else { preconditionFailure("a settlement has a reply") }
        return try reply.get()
    }

    private func call(settling settlements: [HoldSettlement], _ batch: TenantBatch) -> ScriptCall {
        let keys = QuotaKeys(batch.tenant)
        return ScriptCall(QuotaScripts.settle, keys: [keys.tenant, keys.holds]) {
            [incarnation] arguments, facts in
            arguments.add(incarnation(facts.identity))
            for place in batch.places {
                let settlement = settlements[place]
                settlement.trace.withUTF8 { arguments.add($0) }
                arguments.add(settlement.epoch)
                arguments.add(settlement.rseq)
                arguments.add(settlement.charge.nanodollars)
                if settlement.isVoided { arguments.add("") } else { arguments.add(settlement.tokens) }
            }
        }
    }

    /// Adds a credit in the ledger's order.
    package func credit(tenant: TenantID, sequence: Int64, amount: Money) throws(QuotaError) -> CreditReply {
        var reply = try evaluate(QuotaScripts.credit, [QuotaKeys(tenant).tenant]) {
            [incarnation] arguments, facts in
            arguments.add(incarnation(facts.identity))
            arguments.add(sequence)
            arguments.add(amount.nanodollars)
        }
        let word = reply.text()
        switch word {
        case "OK": return .applied(balance: try reply.money())
        case "DONE": return .done(balance: try reply.money())
        case "GAP": return .gap(known: try reply.int())
        case "MISS": return .missing
        default: throw .unexpectedReply(word)
        }
    }

    /// Hears of each tenant whose money somebody waits for, when some of it becomes free, through whatever process.
    ///
    /// What is told while there is no connection is lost.
    package func hearSettled(
        _ onSettled: @escaping @Sendable (TenantID) -> Void
    ) throws(WorkerThread.CreationError) -> RedisSubscriber {
        try redis.subscribe(to: QuotaKeys.settled) { key in
            if let tenant = QuotaKeys.tenant(ofTenantKey: key) { onSettled(tenant) }
        }
    }

    func evaluate(
        _ script: RedisScript, _ keys: [String],
        _ arguments: @escaping @Sendable (inout ScriptArguments, ConnectionFacts) -> Void
    ) throws(QuotaError) -> ScriptReply {
        do throws(RedisError) {
            return try ScriptReply(redis.evaluate(script, keys: keys, arguments: arguments), of: script)
        } catch {
            throw QuotaError(error)
        }
    }

    /// Runs scripts in one write; what became of each call, in order.
    func evaluate(_ calls: [ScriptCall]) throws(QuotaError) -> [Result<RedisReply, QuotaError>] {
        do throws(RedisError) {
            return try redis.evaluate(calls).map { $0.mapError { QuotaError($0) } }
        } catch {
            throw QuotaError(error)
        }
    }

    func command(_ arguments: [String]) throws(QuotaError) -> RedisReply {
        do throws(RedisError) { return try redis.command(arguments) } catch { throw QuotaError(error) }
    }

    func pipeline(_ commands: [[String]]) throws(QuotaError) -> [RedisReply] {
        do throws(RedisError) { return try redis.pipeline(commands) } catch { throw QuotaError(error) }
    }

    /// Which life of Redis commands go to at present.
    package func identity() throws(QuotaError) -> RedisIdentity {
        do throws(RedisError) { return try redis.facts().identity } catch { throw QuotaError(error) }
    }

    func number(of identity: RedisIdentity) -> Int64 { incarnation(identity) }
}

/// Why Redis gave no answer that can be used.
package enum QuotaError: Error {
    /// Nothing was sent.
    case unreachable(String)
    /// Sent, and whether it was carried out is not known.
    case outcomeUnknown(String)
    /// Too many commands are waiting already.
    case overloaded
    /// Redis refused the command (out of memory, a missing right); nothing was done.
    case refused(String)
    /// A script answered what it never answers.
    case unexpectedReply(String)

    init(_ error: RedisError) {
        switch error {
        case .unreachable(let reason): self = .unreachable(reason)
        case .outcomeUnknown(let reason): self = .outcomeUnknown(reason)
        case .overloaded: self = .overloaded
        case .server(let message): self = .refused(message)
        case .unknownIdentity: self = .unreachable("another Redis answers")
        }
    }
}
