import CLibPQ
import Glibc

/// The parameters to connect to each host of a connection string, in order.
///
/// libpq can try a list of hosts itself, but when connecting asynchronously it never leaves a host that does not answer.
struct PostgresHosts {
    /// Keyword and value pairs, one list for each host.
    let targets: [[(keyword: String, value: String)]]

    /// Splits a connection string.
    init(_ configuration: PostgresConfiguration) throws(PostgresError) {
        var message: UnsafeMutablePointer<CChar>?
        guard let parsed = PQconninfoParse(configuration.connectionString, &message) else {
            defer { PQfreemem(message) }
            let reason = message.map { String(cString: $0) } ?? "out of memory"
            throw .unreachable("the connection string is wrong: " + reason)
        }
        defer { PQconninfoFree(parsed) }
        var given: [String: String] = [:]
        var option = parsed
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { given[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        given["application_name"] = configuration.applicationName
        given["client_encoding"] = "UTF8"
        var settings = configuration.sessionSettings
        settings["statement_timeout"] = String(configuration.statementTimeoutMilliseconds)
        settings["default_transaction_isolation"] = "read\\ committed"
        let options = settings.map { "-c \($0.key)=\($0.value)" }.sorted()
        given["options"] = ([given["options"]].compactMap(\.self) + options).joined(separator: " ")
        targets = Self.split(given)
    }

    private static func split(_ given: [String: String]) -> [[(keyword: String, value: String)]] {
        var lists: [String: [Substring]] = [:]
        for keyword in ["host", "hostaddr", "port"] {
            lists[keyword] = given[keyword]?.split(separator: ",", omittingEmptySubsequences: false)
        }
        let count = max(lists["host"]?.count ?? 1, lists["hostaddr"]?.count ?? 1)
        return (0..<count).map { index in
            var target = given
            for (keyword, list) in lists {
                // One port is for all hosts; any other list that does not fit is for libpq to refuse.
                if list.count == count { target[keyword] = String(list[index]) }
            }
            return target.map { (keyword: $0.key, value: $0.value) }
        }
    }
}
