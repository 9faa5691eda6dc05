import Redis

extension QuotaStore {
    private static let probeKey = "gw:quota:probe"

    /// Whether Redis takes a write and returns what was written, now.
    package func isWell() -> Bool {
        let token = String(UInt64.random(in: 0 ... .max))
        do throws(QuotaError) {
            let replies = try pipeline([
                ["SET", QuotaStore.probeKey, token, "PX", "60000"], ["GET", QuotaStore.probeKey],
            ])
            // Another process may have written between the two.
            return replies.count == 2 && replies[0].isOK && replies[1].text != nil
        } catch {
            return false
        }
    }
}

extension RedisReply {
    fileprivate var isOK: Bool {
        if case .status = self { true } else { false }
    }
}
