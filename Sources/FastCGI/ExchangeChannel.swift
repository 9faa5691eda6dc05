import Threads

/// What one read of a request's body gave.
enum InputResult: Equatable {
    case bytes(Int)
    /// The web server said that the body ends here.
    case end
    /// Nothing came in time.
    case timedOut
    /// The connection broke, or carried something else than a body.
    case broken
}

/// How an exchange's bytes travel: FastCGI records on a socket, or the standard streams of a CGI process.
protocol ExchangeChannel: AnyObject {
    /// The first parameter of that name, as a C string that lives until the exchange ends.
    func parameter(_ name: String) -> UnsafePointer<CChar>?
    /// Calls `body` with each value of that name.
    func forEachParameter(_ name: String, _ body: (UnsafePointer<CChar>) -> Void)
    /// Reads up to `buffer.count` bytes of the body, at least one.
    func read(into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline) -> InputResult
    /// Buffers bytes of the answer and sends them when the buffer is full.
    func write(_ bytes: UnsafeRawBufferPointer)
    /// Sends what is buffered.
    ///
    /// Returns 0, or the `errno` value that broke the answer, for ever after.
    func flush() -> Int32
    /// Sends what is buffered, with the end of the answer where that may go along; nothing may be written afterwards.
    ///
    /// Returns what `flush` returns.
    func finish() -> Int32
    /// The descriptor that becomes readable when the client goes away; -1 when there is none.
    var watchDescriptor: Int32 { get }
    /// Whether the client has gone away, without waiting.
    func isPeerGone() -> Bool
}
