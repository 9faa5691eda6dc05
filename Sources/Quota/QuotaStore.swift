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
        let keys = QuotaKeys(order.tenant)
        let reply = try evaluate(QuotaScripts.deduct, [keys.tenant, keys.holds]) {
            [incarnation] arguments, facts in
            arguments.add(incarnation(facts.identity))
            arguments.add(facts.notAfterMicroseconds)
            arguments.add(order.trace.description)
            arguments.add(order.amount.nanodollars)
            arguments.add(order.key?.description ?? "")
            arguments.add(order.period.day)
            arguments.add(order.period.month)
        }
        switch reply.word {
        case "OK":
            return .held(
                HeldAmount(
                    epoch: try reply.int(1), rseq: try reply.int(2), balanceBefore: try reply.money(3),
                    balanceAfter: try reply.money(4), dailyUsed: try reply.int(5),
                    monthlyUsed: try reply.int(6),
                    dailyQuota: try reply.optionalInt(7), monthlyQuota: try reply.optionalInt(8),
                    limitsVersion: try reply.int(9), period: Period(day: Int32(try reply.int(10)))))
        case "MISS": return .missing
        case "LATE": return .late
        case "CONFLICT": return .conflict
        case "REFUSED":
            guard let limit = QuotaLimit(rawValue: reply.text(1)) else {
                throw .unexpectedReply(reply.text(1))
            }
            return .refused(
                QuotaRefusal(
                    limit: limit, epoch: try reply.int(2), creditSequence: try reply.int(3),
                    limitsVersion: try reply.int(4), balance: try reply.money(5),
                    limitValue: try reply.int(6),
                    used: try reply.int(7)))
        default: throw .unexpectedReply(reply.word)
        }
    }

    /// Settles a hold that its row in the ledger has ended: gives back what was not charged.
    ///
    /// - Parameter isVoided: The request then counts neither in its day nor in its month.
    package func settle(
        tenant: TenantID, trace: TraceID, epoch: Int64, rseq: Int64, charge: Money, isVoided: Bool
    ) throws(QuotaError) -> SettleReply {
        let keys = QuotaKeys(tenant)
        let reply = try evaluate(QuotaScripts.settle, [keys.tenant, keys.holds]) {
            [incarnation] arguments, facts in
            arguments.add(incarnation(facts.identity))
            arguments.add(trace.description)
            arguments.add(epoch)
            arguments.add(rseq)
            arguments.add(charge.nanodollars)
            arguments.add(isVoided ? "1" : "0")
        }
        switch reply.word {
        case "OK": return .settled(balance: try reply.money(1))
        case "GONE": return .gone(balance: try reply.money(1))
        case "MISS": return .missing
        default: throw .unexpectedReply(reply.word)
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
            let reply = try redis.evaluate(script, keys: keys, arguments: arguments)
            guard case .bulk(let bytes) = reply else {
                throw RedisError.server("\(script.name) answered in another form")
            }
            return ScriptReply(bytes: bytes)
        } catch {
            throw QuotaError(error)
        }
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
