/// How to reach Redis, and the limits that every use of it keeps.
package struct RedisConfiguration: Sendable {
    /// Where a Redis listens.
    package enum Address: Sendable, Hashable, CustomStringConvertible {
        case unixSocket(String)
        case tcp(host: String, port: UInt16)

        /// The address as an operator would write it.
        package var description: String {
            switch self {
            case .unixSocket(let path): path
            case .tcp(let host, let port): "\(host):\(port)"
            }
        }
    }

    /// Where it listens.
    package var address: Address
    /// The ACL user; the default one when nil.
    package var username: String?
    /// The password; none is sent when nil.
    package var password: String?
    /// What `CLIENT LIST` shows.
    package var clientName = "tollgate"
    /// How long connecting may take, with all that is asked of a new connection.
    package var connectTimeoutMilliseconds = 300
    /// How long a command may wait to be sent, and then how long for its reply.
    package var commandTimeoutMilliseconds = 300
    /// How many connections; commands that arrive together share one.
    ///
    /// Redis works on one command at a time, so more than one only keeps short commands from waiting behind long replies.
    package var lanes = 1
    /// How many commands are sent together at most.
    package var batchMax = 256
    /// How many threads may wait on one lane.
    package var waitingMax = 4_096

    /// A configuration with the limits that suit a responder.
    package init(address: Address) {
        self.address = address
    }
}
