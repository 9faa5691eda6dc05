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

    /// Takes several holds in one round trip, each all or nothing, and answers them in their order.
    package func deduct(_ orders: [HoldOrder]) -> [Result<DeductReply, QuotaError>] {
        evaluate(QuotaScripts.deduct, orders.map { call(for: $0) }) { (reply) throws(QuotaError) in
            try DeductReply(reply)
        }
    }

    private func call(for order: HoldOrder) -> ScriptCall {
        let keys = QuotaKeys(order.tenant)
        return ScriptCall(keys: [keys.tenant, keys.holds]) {
            [incarnation] (arguments, facts) throws(RedisError) in
            arguments.add(incarnation(facts.identity))
            arguments.add(facts.notAfterMicroseconds)
            arguments.add(order.trace.description)
            arguments.add(order.amount.nanodollars)
            arguments.add(order.key?.description ?? "")
            arguments.add(order.period.day)
            arguments.add(order.period.month)
        }
    }

    /// Settles a hold that its row in the ledger has ended: gives back what was not charged.
    package func settle(_ settlement: HoldSettlement) throws(QuotaError) -> SettleReply {
        try only(settle([settlement])).get()
    }

    /// Settles several holds in one round trip, and answers in their order.
    package func settle(_ settlements: [HoldSettlement]) -> [Result<SettleReply, QuotaError>] {
        evaluate(QuotaScripts.settle, settlements.map { call(for: $0) }) { (reply) throws(QuotaError) in
            try SettleReply(reply)
        }
    }

    private func call(for settlement: HoldSettlement) -> ScriptCall {
        let keys = QuotaKeys(settlement.tenant)
        return ScriptCall(keys: [keys.tenant, keys.holds]) {
            [incarnation] (arguments, facts) throws(RedisError) in
            arguments.add(incarnation(facts.identity))
            arguments.add(settlement.trace.description)
            arguments.add(settlement.epoch)
            arguments.add(settlement.rseq)
            arguments.add(settlement.charge.nanodollars)
            arguments.add(settlement.isVoided ? "1" : "0")
        }
    }

    /// Adds a credit in the ledger's order.
    package func credit(tenant: TenantID, sequence: Int64, amount: Money) throws(QuotaError) -> CreditReply {
        let reply = try evaluate(QuotaScripts.credit, [QuotaKeys(tenant).tenant]) {
            [incarnation] arguments, facts in
            arguments.add(incarnation(facts.identity))
            arguments.add(sequence)
            arguments.add(amount.nanodollars)
        }
        switch reply.word {
        case "OK": return .applied(balance: try reply.money(1))
        case "DONE": return .done(balance: try reply.money(1))
        case "GAP": return .gap(known: try reply.int(1))
        case "MISS": return .missing
        default: throw .unexpectedReply(reply.word)
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

    private func evaluate<Reply>(
        _ script: RedisScript, _ calls: [ScriptCall],
        _ read: (ScriptReply) throws(QuotaError) -> Reply
    ) -> [Result<Reply, QuotaError>] {
        do throws(RedisError) {
            return try redis.evaluate(script, calls).map { result in
                result.flatMap { reply in
                    Result { () throws(RedisError) in try ScriptReply(reply, of: script) }
                }
                .mapError { QuotaError($0) }
                .flatMap { fields in Result { () throws(QuotaError) in try read(fields) } }
            }
        } catch {
            return calls.map { _ in .failure(QuotaError(error)) }
        }
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
