import CLinux
import Glibc
import Threads

/// What one connection sends: a request's parameters, then its body in records.
///
/// Read by us and not by libfcgi, so that every wait has a deadline and a large body goes straight to where it is wanted.
final class RequestInput {
    /// How much is read at first, and when the next record's header is wanted: a small request at once, little of a large body.
    private static let firstBytes = 8 * 1_024
    private static let headerReadBytes = 2 * 1_024

    /// Empty between the end of a body and the next request: a stream would keep it for minutes.
    private var buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private let parametersBytesMax: Int
    private var descriptor: Int32 = -1
    private var requestID = 0
    /// The bytes of `buffer` that were read from the socket and not used.
    private var unused = 0..<0
    /// Of the present record: content and padding that are still to come.
    private var contentBytes = 0
    private var paddingBytes = 0
    /// Whether the end of the body has been read.
    private(set) var isDone = false

    init(parametersBytesMax: Int) {
        self.parametersBytesMax = parametersBytesMax
    }

    /// The largest buffer: beside the parameters there are record headers.
    private var bufferBytesMax: Int { parametersBytesMax + parametersBytesMax / 8 + Self.firstBytes }

    deinit {
        buffer.deallocate()
    }

    /// Whether more was read than the request.
    var hasMore: Bool { isDone && !unused.isEmpty }

    /// Reads a request up to the end of its parameters and returns these bytes; nil when none comes, or something else.
    func receiveParameters(_ descriptor: Int32, until deadline: Deadline) -> UnsafeRawBufferPointer? {
        self.descriptor = descriptor
        (contentBytes, paddingBytes, isDone) = (0, 0, false)
        unused = 0..<0
        if buffer.count != Self.firstBytes { resize(to: Self.firstBytes) }
        while true {
            if unused.count == buffer.count {
                guard buffer.count < bufferBytesMax else { return nil }
                resize(to: bufferBytesMax)
            }
            guard case .bytes = fill(to: buffer.count, deadline) else { return nil }
            let seen = UnsafeRawBufferPointer(rebasing: buffer[unused])
            switch RequestScan.scan(seen, parametersBytesMax: parametersBytesMax) {
            case .incomplete: continue
            case .malformed: return nil
            case .complete(let bytes, let padding, let requestID):
                self.requestID = requestID
                paddingBytes = padding
                unused = bytes..<unused.upperBound
                return UnsafeRawBufferPointer(rebasing: buffer[..<bytes])
            }
        }
    }

    /// Replaces the buffer by one of another size that begins with the same unused bytes.
    private func resize(to bytes: Int) {
        let other = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes, alignment: 16)
        other.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[unused]))
        unused = 0..<unused.count
        buffer.deallocate()
        buffer = other
    }

    private func releaseBuffer() {
        buffer.deallocate()
        buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        unused = 0..<0
    }

    /// Reads up to `target.count` bytes of the body, at least one.
    func read(into target: UnsafeMutableRawBufferPointer, until deadline: Deadline) -> InputResult {
        while !isDone {
            if contentBytes > 0 { return readContent(into: target, deadline) }
            let failure = readHeader(deadline)
            if let failure { return failure }
        }
        return .end
    }

    private func readContent(into target: UnsafeMutableRawBufferPointer, _ deadline: Deadline) -> InputResult
    {
        let wanted = min(target.count, contentBytes)
        guard !unused.isEmpty else {
            let result = receive(UnsafeMutableRawBufferPointer(rebasing: target[..<wanted]), deadline)
            if case .bytes(let count) = result { contentBytes -= count }
            return result
        }
        let count = min(wanted, unused.count)
        target.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[unused.prefix(count)]))
        unused = unused.dropFirst(count)
        contentBytes -= count
        return .bytes(count)
    }

    /// Goes on to the next record of the body; nil when that is there, or when it is the end.
    private func readHeader(_ deadline: Deadline) -> InputResult? {
        while unused.count < paddingBytes + Record.headerBytes {
            if unused.lowerBound > 0 {
                buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[unused]))
                unused = 0..<unused.count
            }
            let result = fill(to: Self.headerReadBytes, deadline)
            guard case .bytes = result else { return result }
        }
        let offset = unused.lowerBound + paddingBytes
        let record = Record(UnsafeRawBufferPointer(buffer), at: offset)
        unused = offset + Record.headerBytes..<unused.upperBound
        // An abort record, another request or a management record: all end this one.
        guard record.isValid, record.type == Record.standardInput, record.requestID == requestID else {
            return .broken
        }
        contentBytes = record.contentBytes
        paddingBytes = record.paddingBytes
        isDone = contentBytes == 0
        if isDone, unused.isEmpty { releaseBuffer() }
        return nil
    }

    /// Reads more into the buffer, up to its first `limit` bytes.
    private func fill(to limit: Int, _ deadline: Deadline) -> InputResult {
        let free = UnsafeMutableRawBufferPointer(rebasing: buffer[unused.upperBound..<limit])
        let result = receive(free, deadline)
        if case .bytes(let count) = result { unused = unused.lowerBound..<unused.upperBound + count }
        return result
    }

    private func receive(_ target: UnsafeMutableRawBufferPointer, _ deadline: Deadline) -> InputResult {
        while true {
            let count = recv(descriptor, target.baseAddress, target.count, Int32(MSG_DONTWAIT))
            if count > 0 { return .bytes(count) }
            guard count < 0, errno == EAGAIN || errno == EINTR else { return .broken }
            var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let isReady = poll(&state, 1, deadline.remainingMilliseconds) > 0
            if !isReady, deadline.isPast { return .timedOut }
        }
    }
}
