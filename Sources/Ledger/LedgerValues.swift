import Core
import Postgres

// Rows as columns: the grouped statements take one array a column.

extension [PendingRow] {
    func values(owner: String) -> [PostgresValue] {
        [
            .textArray(map(\.tenant.description)), .textArray(map(\.trace.description)),
            .optionalTextArray(map { $0.key?.description }), .intArray(map(\.epoch)), .intArray(map(\.rseq)),
            .intArray(map { Int64($0.period.day) }), .intArray(map(\.hold.nanodollars)),
            .intArray(map(\.limitsVersion)), .intArray(map(\.balanceBefore.nanodollars)),
            .intArray(map(\.balanceAfter.nanodollars)), .intArray(map(\.deadlineMilliseconds)),
            .textArray(map(\.capability)), .textArray(map(\.model)), .boolArray(map(\.isStream)),
            .text(owner),
        ]
    }
}

extension [RowSettlement] {
    var values: [PostgresValue] {
        [
            .textArray(map(\.tenant.description)), .textArray(map(\.trace.description)),
            .textArray(map(\.status.rawValue)), .intArray(map(\.charge.nanodollars)),
            .optionalIntArray(map(\.priceVersion)), .intArray(map(\.usage.input)),
            .intArray(map(\.usage.cachedInput)), .intArray(map(\.usage.cacheWrite)),
            .intArray(map(\.usage.cacheWriteHour)), .intArray(map(\.usage.output)),
            .intArray(map(\.usage.reasoning)), .intArray(map(\.usage.audioInput)),
            .intArray(map(\.usage.audioOutput)), .optionalTextArray(map { $0.usageSource?.rawValue }),
            .optionalTextArray(map(\.provider)), .optionalIntArray(map(\.providerModelID)),
            .optionalTextArray(map(\.upstreamModel)), .boolArray(map(\.isError)),
            .optionalTextArray(map(\.errorCode)), .boolArray(map(\.streamCompleted)),
            .optionalTextArray(map(\.interruptedBy)), .optionalIntArray(map(\.latencyMilliseconds)),
        ]
    }

    var overrunValues: [PostgresValue] {
        [
            .textArray(map(\.tenant.description)), .textArray(map(\.trace.description)),
            .textArray(map { _ in "overrun" }), .intArray(map(\.overrun.nanodollars)),
        ]
    }

    var nameValues: [PostgresValue] {
        [.textArray(map(\.tenant.description)), .textArray(map(\.trace.description))]
    }
}

extension [StreamCheckpoint] {
    var values: [PostgresValue] {
        [
            .textArray(map(\.tenant.description)), .textArray(map(\.trace.description)),
            .intArray(map(\.providerModelID)), .intArray(map(\.priceVersion)), .intArray(map(\.inputTokens)),
            .intArray(map(\.outputTokens)), .textArray(map(\.source.rawValue)),
        ]
    }
}
