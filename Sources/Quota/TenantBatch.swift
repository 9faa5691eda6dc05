import Core
import Redis

/// What a script does for one tenant.
protocol TenantOrder: Sendable {
    /// Whose image it changes.
    var tenant: TenantID { get }
}

extension HoldOrder: TenantOrder {}
extension HoldSettlement: TenantOrder {}
extension HoldExtension: TenantOrder {}

/// The orders of one tenant that one call of a script carries.
struct TenantBatch: Equatable {
    /// The most orders in a call: Redis does nothing else meanwhile, and Lua's stack holds their arguments.
    static let ordersMax = 64

    /// Whose they are.
    let tenant: TenantID
    /// Where they stand among the orders of all tenants, ascending.
    private(set) var places: [Int]

    /// The batches of some orders; those of one tenant keep their order.
    static func batches(of orders: [some TenantOrder]) -> [TenantBatch] {
        var batches: [TenantBatch] = []
        // The last batch of each tenant.
        var latest: [TenantID: Int] = [:]
        for (place, order) in orders.enumerated() {
            if let batch = latest[order.tenant], batches[batch].places.count < ordersMax {
                batches[batch].places.append(place)
            } else {
                latest[order.tenant] = batches.count
                batches.append(TenantBatch(tenant: order.tenant, places: [place]))
            }
        }
        return batches
    }

    /// The hashes of the budgets that must be there for its orders, each once.
    func budgetHashes(for orders: [HoldOrder]) -> [String] {
        var hashes: [String] = []
        for place in places {
            guard orders[place].hasBudget, let key = orders[place].key else { continue }
            let hash = QuotaKeys(tenant).budget(of: key)
            if !hashes.contains(hash) { hashes.append(hash) }
        }
        return hashes
    }

    /// Puts what became of the call where its orders stand.
    func spread<Reply: OrderReply>(
        _ result: Result<RedisReply, RedisError>, of script: RedisScript,
        over answers: inout [Result<Reply, QuotaError>]
    ) {
        do throws(RedisError) {
            let read = try Reply.read(result.get(), of: script, count: places.count)
            for (place, answer) in zip(places, read) { answers[place] = answer }
        } catch {
            for place in places { answers[place] = .failure(QuotaError(error)) }
        }
    }
}
