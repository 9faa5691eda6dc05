/// The sizes and times that bound a responder pool.
package struct ResponderLimits: Sendable {
    /// Workers that stay when there is nothing to do.
    package var workersMin = 8
    /// The most workers, hence the most requests that run at the same time.
    package var workersMax = 1_024
    /// How long a worker beyond the least number waits for work before it ends.
    package var workerIdleSeconds = 30
    /// The stack of a worker; only the pages it touches become memory.
    package var stackBytes = 512 * 1_024
    /// Requests that may wait for a worker; further ones are answered by `overloaded`.
    package var queueMax = 1_024
    /// How long a request may wait for a worker before it is answered by `overloaded`.
    package var queueTimeoutSeconds = 10
    /// Requests that may wait for `overloaded`; beyond it no connection is accepted for a moment.
    package var sheddingMax = 256
    /// How long reading a request, or one write, may take while `overloaded` answers.
    package var sheddingTimeoutSeconds = 2
    /// Open connections, idle ones included; at this number no further one is accepted.
    package var connectionsMax = 8_192
    /// How long a connection may stay idle between two requests.
    ///
    /// Longer than the `keepalive_timeout` of nginx (60 s), so that nginx is always the one who closes: a request that nginx sends
    /// while we close is lost.
    package var connectionIdleSeconds = 120
    /// The largest set of parameters; a connection that sends more is closed.
    package var parametersBytesMax = 128 * 1_024
    /// How long the parameters, or the body, may take to arrive in all.
    package var readTimeoutSeconds = 30
    /// How long one write may wait for a client that does not read.
    package var writeTimeoutSeconds = 30
    /// How much of a body that nobody read is read and dropped after the answer, before the connection is closed instead.
    package var discardBytesMax = 64 * 1_024 * 1_024
    /// While draining: how long a connection must have been idle to be closed without having answered once more.
    package var drainIdleMilliseconds = 500
    /// How long requests may take to end themselves once the drain deadline has passed.
    package var graceSeconds = 2

    /// Creates the limits of a small machine; change what differs.
    package init() {}
}
