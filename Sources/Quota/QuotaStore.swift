package import Core
package import Redis

/// The hot side of the money: every tenant's image in Redis, changed only by scripts.
///
/// An image belongs to one incarnation of Redis. `incarnation` gives the number of the life a connection talks to, or 0 while it
/// is not known; no image has that number, so every script then answers that the image is missing.
package final class QuotaStore: Sendable {
    private let redis: RedisClient
    private let incarnation: @Sendable (RedisIdentity) -> Int64

    /// Creates the store.
    ///
    /// - Parameters:
    ///   - redis: Where the images are.
    ///   - incarnation: The registered number of a Redis life, 0 when unknown. Called on the thread that sends; no I/O.
    package init(redis: RedisClient, incarnation: @escaping @Sendable (RedisIdentity) -> Int64) {
        self.redis = redis
        self.incarnation = incarnation
    }

    /// Takes a hold, all or nothing; the same order again is answered the same way.
    package func deduct(_ order: HoldOrder) throws(QuotaError) -> DeductReply {
        try only(deduct([order])).get()
    }

    /// Takes several holds in one round trip, each all or nothing, in their order, and answers them in it.
    package func deduct(_ orders: [HoldOrder]) -> [Result<DeductReply, QuotaError>] {
        evaluate(QuotaScripts.deduct, orders) { [incarnation] arguments, facts, places in
            arguments.add(incarnation(facts.identity))
            arguments.add(facts.notAfterMicroseconds)
            for place in places {
                let order = orders[place]
                order.trace.withUTF8 { arguments.add($0) }
                arguments.add(order.amount.nanodollars)
                arguments.add(order.key?.description ?? "")
                arguments.add(Int64(order.period.day))
                arguments.add(Int64(order.period.month))
            }
        }
    }

    /// Settles a hold that its row in the ledger has ended: gives back what was not charged.
    package func settle(_ settlement: HoldSettlement) throws(QuotaError) -> SettleReply {
        try only(settle([settlement])).get()
    }

    /// Settles several holds in one round trip, in their order, and answers in it.
    package func settle(_ settlements: [HoldSettlement]) -> [Result<SettleReply, QuotaError>] {
        evaluate(QuotaScripts.settle, settlements) { [incarnation] arguments, facts, places in
            arguments.add(incarnation(facts.identity))
            for place in places {
                let settlement = settlements[place]
                settlement.trace.withUTF8 { arguments.add($0) }
                arguments.add(settlement.epoch)
                arguments.add(settlement.rseq)
                arguments.add(settlement.charge.nanodollars)
                arguments.add(settlement.isVoided ? 1 : 0)
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

    /// Runs a script that carries many orders of a tenant at once; `arguments` writes those at some places among all.
    private func evaluate<Order: TenantOrder, Reply: OrderReply>(
        _ script: RedisScript, _ orders: [Order],
        _ arguments: @escaping @Sendable (inout ScriptArguments, ConnectionFacts, [Int]) -> Void
    ) -> [Result<Reply, QuotaError>] {
        let batches = TenantBatch.batches(of: orders)
        let calls = batches.map { batch in
            let keys = QuotaKeys(batch.tenant)
            return ScriptCall(keys: [keys.tenant, keys.holds]) { list, facts in
                arguments(&list, facts, batch.places)
            }
        }
        var answers = [Result<Reply, QuotaError>](
            repeating: .failure(.unexpectedReply("")), count: orders.count)
        do throws(RedisError) {
            for (batch, result) in zip(batches, try redis.evaluate(script, calls)) {
                batch.spread(result, of: script, over: &answers)
            }
        } catch {
            for place in answers.indices { answers[place] = .failure(QuotaError(error)) }
        }
        return answers
    }

    private func only<Reply>(_ results: [Result<Reply, QuotaError>]) -> Result<Reply, QuotaError> {
        guard let result = results.first else { preconditionFailure("a call has a reply") }
        return result
    }

    func command(_ arguments: [String]) throws(QuotaError) -> RedisReply {
        do throws(RedisError) { return try redis.command(arguments) } catch { throw QuotaError(error) }
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
