package import Quota

/// Why money could not be taken, or a charge not be made durable.
package enum SettlementError: Error, Sendable {
    /// A limit refuses it.
    case refused(QuotaRefusal)
    /// Redis or PostgreSQL cannot say now; nothing may be served without them.
    case unavailable(String)
    /// Reservations are made in the ledger itself at present: no image in Redis is to be used.
    case inDatabaseMode
    /// The trace already stands for something else.
    case conflict
    /// Another request has the idempotency key.
    case keyInUse
    /// The ledger knows no such tenant.
    case unknownTenant
    /// The charge is not durable yet; it stays queued and the row stays pending.
    case notDurable(String)
    /// Another process believed this one dead and has ended the request otherwise.
    case overruled(String)
}

/// Runs an effect; its failure means that money cannot be decided about now.
func orUnavailable<Value, Failure: Error>(
    _ effect: () throws(Failure) -> Value
) throws(SettlementError) -> Value {
    do throws(Failure) { return try effect() } catch { throw .unavailable("\(Failure.self): \(error)") }
}
