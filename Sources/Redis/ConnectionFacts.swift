package import Threads

/// Which life of which data a Redis server is in.
///
/// Another value means that acknowledged writes may be missing: the server was restarted, or a replica took its place.
package struct RedisIdentity: Sendable, Hashable {
    /// The `run_id` of the process.
    package let runID: String
    /// The `master_replid` of its data.
    package let replicationID: String

    /// Creates an identity from its two parts.
    package init(runID: String, replicationID: String) {
        self.runID = runID
        self.replicationID = replicationID
    }
}

/// What is known of the connection that will carry a command.
package struct ConnectionFacts: Sendable {
    /// The life of the server, as it was when the connection was made.
    package let identity: RedisIdentity
    /// When the wait for the reply ends.
    package let answerDeadline: Deadline

    // The server's clock, and a reading of ours that is certainly not earlier: estimates then never run ahead of the server.
    private let anchorMicroseconds: Int64
    private let anchor: Deadline

    init(identity: RedisIdentity, anchorMicroseconds: Int64, anchor: Deadline, answerDeadline: Deadline) {
        self.identity = identity
        self.anchorMicroseconds = anchorMicroseconds
        self.anchor = anchor
        self.answerDeadline = answerDeadline
    }

    /// The server's clock now, in microseconds since 1970: its `TIME`, read at least once a minute, plus what our monotonic
    /// clock says has passed.
    package func serverTimeMicroseconds() -> Int64 {
        serverTime(at: .now)
    }

    /// The server's clock at the moment when the wait for the reply ends: what is executed later, nobody waits for.
    package var notAfterMicroseconds: Int64 { serverTime(at: answerDeadline) }

    /// Whether the server's clock was read so long ago that it should be read again.
    var isTimeStale: Bool { anchor.elapsedNanoseconds > 60_000_000_000 }

    /// The same connection with a new reading of the server's clock.
    func with(anchorMicroseconds: Int64, anchor: Deadline) -> ConnectionFacts {
        ConnectionFacts(
            identity: identity, anchorMicroseconds: anchorMicroseconds, anchor: anchor,
            answerDeadline: answerDeadline)
    }

    /// The same connection for a command whose reply is waited for until another moment.
    func with(answerDeadline: Deadline) -> ConnectionFacts {
        ConnectionFacts(
            identity: identity, anchorMicroseconds: anchorMicroseconds, anchor: anchor,
            answerDeadline: answerDeadline)
    }

    private func serverTime(at moment: Deadline) -> Int64 {
        anchorMicroseconds + (moment.nanoseconds - anchor.nanoseconds) / 1_000
    }
}

extension RedisReply {
    /// The microseconds since 1970 in a reply to TIME.
    var timeMicroseconds: Int64? {
        guard let elements, elements.count == 2, let seconds = elements[0].integer,
            let microseconds = elements[1].integer
        else { return nil }
        return seconds * 1_000_000 + microseconds
    }

    /// The value of one line of a reply to INFO.
    func field(_ name: String) -> String? {
        text?.split(whereSeparator: \.isNewline).first { $0.hasPrefix(name + ":") }
            .map { String($0.dropFirst(name.utf8.count + 1)) }
    }
}
