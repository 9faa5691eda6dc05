import Glibc
import Threads

/// Why an exchange cannot go on.
package enum ExchangeError: Error, Equatable {
    /// The body is larger than is allowed; nothing of it was read.
    case bodyTooLarge
    /// The body ended before, or went on after, the announced length.
    case bodyTruncated
    /// The body did not come in time.
    case bodyTimedOut
    /// `CONTENT_LENGTH` is not a number.
    case invalidContentLength
    /// The client, or nginx for it, closed the connection.
    case clientGone
    /// The client did not read what it asked for in time.
    case writeTimedOut
}

/// One request and its answer, as nginx sends and takes them.
///
/// Belongs to the thread that was handed it, until the closure that it was handed to returns; it serves another request then.
package final class Exchange {
    private let channel: any ExchangeChannel
    private let readTimeoutSeconds: Int

    /// An eventfd that becomes readable when requests must end at once; -1 in a CGI process.
    ///
    /// It is not when draining begins but when the drain deadline has passed. Nobody reads from it.
    package let shutdownDescriptor: Int32

    /// Bytes of the answer so far, headers included: sent, or buffered and about to be.
    package private(set) var bytesWritten = 0

    init(channel: any ExchangeChannel, shutdownDescriptor: Int32, readTimeoutSeconds: Int) {
        self.channel = channel
        self.shutdownDescriptor = shutdownDescriptor
        self.readTimeoutSeconds = readTimeoutSeconds
    }

    /// Begins the next exchange of this channel.
    func reset() {
        bytesWritten = 0
    }

    /// The value of a FastCGI parameter or CGI variable; bytes that are not UTF-8 become U+FFFD.
    package func parameter(_ name: String) -> String? {
        channel.parameter(name).map { String(cString: $0) }
    }

    /// Every value of a parameter: a client may send one header twice, and nginx then passes it twice.
    package func parameters(_ name: String) -> [String] {
        var values: [String] = []
        channel.forEachParameter(name) { values.append(String(cString: $0)) }
        return values
    }

    /// Reads the whole body: exactly as many bytes as `CONTENT_LENGTH` announces, none when it announces nothing.
    ///
    /// Call it once, also where no body is expected: what it leaves unread keeps `isClientGone` from seeing an abort record.
    package func readBody(bytesMax: Int) throws(ExchangeError) -> [UInt8] {
        let length = try contentLength()
        guard length <= bytesMax else { throw .bodyTooLarge }
        let deadline = Deadline.after(seconds: readTimeoutSeconds)
        var failure: ExchangeError?
        let body = [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
            let buffer = UnsafeMutableRawBufferPointer(buffer)
            while count < length, failure == nil {
                let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[count..<length])
                switch channel.read(into: rest, until: deadline) {
                case .bytes(let some): count += some
                case .end: failure = .bodyTruncated
                case .timedOut: failure = .bodyTimedOut
                case .broken: failure = .clientGone
                }
            }
        }
        if let failure { throw failure }
        try expectEnd(until: deadline)
        return body
    }

    private func contentLength() throws(ExchangeError) -> Int {
        guard let text = channel.parameter("CONTENT_LENGTH"), text.pointee != 0 else { return 0 }
        var length = 0
        var digit = text
        while digit.pointee != 0 {
            guard digit.pointee >= 0x30, digit.pointee <= 0x39 else { throw .invalidContentLength }
            let (product, tooLarge) = length.multipliedReportingOverflow(by: 10)
            let (sum, overflow) = product.addingReportingOverflow(Int(digit.pointee) - 0x30)
            guard !tooLarge, !overflow else { throw .invalidContentLength }
            length = sum
            digit += 1
        }
        return length
    }

    private func expectEnd(until deadline: Deadline) throws(ExchangeError) {
        var one: UInt8 = 0
        switch withUnsafeMutableBytes(of: &one, { channel.read(into: $0, until: deadline) }) {
        case .end: return
        case .bytes: throw .bodyTruncated
        case .timedOut: throw .bodyTimedOut
        case .broken: throw .clientGone
        }
    }

    /// Adds bytes to the answer: first its CGI header lines, an empty line, then its body.
    ///
    /// Full buffers are sent by themselves. A failure is told by the next `flush`, and whatever comes after it is dropped.
    package func write(_ bytes: UnsafeRawBufferPointer) {
        guard !bytes.isEmpty else { return }
        bytesWritten += bytes.count
        channel.write(bytes)
    }

    /// Adds bytes to the answer.
    package func write(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { write($0) }
    }

    /// Adds bytes to the answer.
    package func write(_ bytes: ArraySlice<UInt8>) {
        bytes.withUnsafeBytes { write($0) }
    }

    /// Adds text to the answer, as UTF-8.
    package func write(_ text: String) {
        var text = text
        text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
    }

    /// Sends what was written so far, in one system call, and tells whether the answer still reaches anyone.
    package func flush() throws(ExchangeError) {
        try check(channel.flush())
    }

    /// Sends what was written so far and ends the answer, in one system call; whatever is written afterwards is dropped.
    ///
    /// Not needed, unless the outcome matters.
    package func finish() throws(ExchangeError) {
        try check(channel.finish())
    }

    private func check(_ code: Int32) throws(ExchangeError) {
        switch code {
        case 0: return
        case EAGAIN: throw .writeTimedOut
        default: throw .clientGone
        }
    }

    /// The descriptor to poll for reading beside a provider's socket; -1 for CGI.
    ///
    /// When it is readable, ask `isClientGone`.
    /// Poll it only after `readBody`: until then it is readable because of the body. Never read from it.
    package var watchDescriptor: Int32 { channel.watchDescriptor }

    /// Whether the client went away: the connection is closed, half closed or broken, or carries an abort record.
    ///
    /// Does not wait. What was written is not sent by it.
    package func isClientGone() -> Bool {
        channel.isPeerGone()
    }
}
