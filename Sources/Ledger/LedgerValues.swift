import Core
import Postgres

// Rows as columns: the grouped statements take one array a column.

extension [PendingRow] {
    func values(owner: String) -> [PostgresValue] {
        [
            .textArray(map(\.tenant.description)), .uuidArray(map(\.trace.bits)),
            .optionalTextArray(map { $0.key?.description }), .intArray(map(\.epoch)), .intArray(map(\.rseq)),
            .intArray(map { Int64($0.period.day) }), .intArray(map(\.hold.nanodollars)),
            .intArray(map(\.limitsVersion)), .intArray(map(\.balanceBefore.nanodollars)),
            .intArray(map(\.balanceAfter.nanodollars)), .intArray(map(\.deadlineMilliseconds)),
            .textArray(map(\.capability)), .textArray(map(\.model)), .boolArray(map(\.isStream)),
            .text(owner),
        ]
    }
}

extension [HoldRaise] {
    var values: [PostgresValue] {
        [
            .textArray(map(\.tenant.description)), .uuidArray(map(\.trace.bits)), .intArray(map(\.epoch)),
            .intArray(map(\.amount.nanodollars)),
        ]
    }
}

extension [RowSettlement] {
    var values: [PostgresValue] {
        [
            .textArray(map(\.tenant.description)), .uuidArray(map(\.trace.bits)),
            .textArray(map(\.status.rawValue)), .intArray(map(\.charge.nanodollars)),
            column(\.priceVersion), count(\.usage.input), count(\.usage.cachedInput),
            count(\.usage.cacheWrite), count(\.usage.cacheWriteHour), count(\.usage.output),
            count(\.usage.reasoning), count(\.usage.audioInput), count(\.usage.audioOutput),
            column { $0.usageSource?.rawValue }, column(\.provider), column(\.providerModelID),
            column(\.upstreamModel), flag(\.isError), column(\.errorCode), flag(\.streamCompleted),
            column(\.interruptedBy), column(\.latencyMilliseconds),
        ]
    }

    // Most columns of most batches say nothing: they are sent as one null, whose every element is null.

    private func count(_ value: (RowSettlement) -> Int64) -> PostgresValue {
        allSatisfy { value($0) == 0 } ? .null : .intArray(map(value))
    }

    private func flag(_ value: (RowSettlement) -> Bool) -> PostgresValue {
        contains(where: value) ? .boolArray(map(value)) : .null
    }

    private func column(_ value: (RowSettlement) -> Int64?) -> PostgresValue {
        allSatisfy { value($0) == nil } ? .null : .optionalIntArray(map(value))
    }

    private func column(_ value: (RowSettlement) -> String?) -> PostgresValue {
        allSatisfy { value($0) == nil } ? .null : .optionalTextArray(map(value))
    }

    var overrunValues: [PostgresValue] {
        [
            .textArray(map(\.tenant.description)), .uuidArray(map(\.trace.bits)),
            .textArray(map { _ in "overrun" }), .intArray(map(\.overrun.nanodollars)),
        ]
    }

    var nameValues: [PostgresValue] {
        [.textArray(map(\.tenant.description)), .uuidArray(map(\.trace.bits))]
    }
}

extension [StreamCheckpoint] {
    var values: [PostgresValue] {
        [
            .textArray(map(\.tenant.description)), .uuidArray(map(\.trace.bits)),
            .intArray(map(\.providerModelID)), .intArray(map(\.priceVersion)), .intArray(map(\.inputTokens)),
            .intArray(map(\.outputTokens)), .textArray(map(\.source.rawValue)),
        ]
    }
}

extension TraceID {
    /// As PostgreSQL takes it.
    var bits: UUIDBits { UUIDBits(high: high, low: low) }
}
