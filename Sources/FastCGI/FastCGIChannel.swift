import CFastCGI
import CLinux
import Glibc
import Threads

/// One worker's libfcgi request, used for one connection after another.
///
/// libfcgi never accepts and never closes here: it parses a request on a descriptor of ours, and `FCGX_Free` without closing takes the
/// place of `FCGX_Finish_r`. So nobody but us decides how long a connection lingers and when its descriptor's number is free.
final class FastCGIChannel: ExchangeChannel {
    /// What became of a connection with its request.
    enum Ending {
        /// The web server keeps it for its next request.
        case kept
        /// It must be closed.
        case unusable
        /// libfcgi has closed it.
        case closed
    }

    private let request: UnsafeMutablePointer<FCGX_Request>
    private var isInputDone = false
    private var mustClose = false
    /// The first error of the answer, for ever after.
    private var failure: Int32 = 0

    init() {
        request = .allocate(capacity: 1)
        request.initialize(to: FCGX_Request())
    }

    deinit {
        request.deallocate()
    }

    /// Lets libfcgi read the request that waits on a connection; false when it could not, and has then closed it.
    ///
    /// A `RequestScan` must have found a complete request, so this neither blocks nor fails. If libfcgi sees it otherwise, it closes
    /// the descriptor and goes to accept on the listening socket -1, which fails at once.
    func begin(descriptor: Int32) -> Bool {
        isInputDone = false
        mustClose = false
        failure = 0
        FCGX_InitRequest(request, -1, 0)
        request.pointee.ipcFd = descriptor
        request.pointee.keepConnection = 1
        // Detached: should libfcgi close, then without shutting down and waiting for the peer first.
        FCGX_Detach(request)
        return FCGX_Accept_r(request) == 0
    }

    /// Ends the exchange: drops the rest of the body, sends the rest of the answer and its end, frees libfcgi's buffers.
    func end(discardBytesMax: Int, deadline: Deadline) -> Ending {
        if !isInputDone {
            // The answer first: a client that is still sending may be waiting for it.
            _ = flush()
            discardInput(bytesMax: discardBytesMax, deadline: deadline)
        }
        // After a failed write another one would send parts twice, or wait for the timeout again.
        if failure == 0 {
            FCGX_FClose(request.pointee.err)
            FCGX_FClose(request.pointee.out)
            failure = FCGX_GetError(request.pointee.out)
        }
        let isKept =
            failure == 0 && isInputDone && !mustClose && request.pointee.keepConnection != 0
            && FCGX_GetError(request.pointee.in) == 0
        FCGX_Free(request, 0)
        return isKept ? .kept : .unusable
    }

    private func discardInput(bytesMax: Int, deadline: Deadline) {
        withUnsafeTemporaryAllocation(byteCount: 16 * 1_024, alignment: 8) { buffer in
            var discarded = 0
            while !isInputDone, discarded < bytesMax, !deadline.isPast {
                guard case .bytes(let count) = read(into: buffer) else { return }
                discarded += count
            }
        }
    }

    // MARK: - ExchangeChannel

    func parameter(_ name: String) -> UnsafePointer<CChar>? {
        UnsafePointer(FCGX_GetParam(name, request.pointee.envp))
    }

    func forEachParameter(_ name: String, _ body: (UnsafePointer<CChar>) -> Void) {
        guard var entry = request.pointee.envp else { return }
        let length = name.utf8.count
        while let pair = entry.pointee {
            if strncmp(name, pair, length) == 0, pair[length] == CChar(UInt8(ascii: "=")) {
                body(pair + length + 1)
            }
            entry += 1
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> InputResult {
        guard !isInputDone, let stream = request.pointee.in, !buffer.isEmpty else { return .end }
        var count = 0
        if stream.pointee.rdNext == stream.pointee.stop {
            // Reads from the socket once; `FCGX_GetStr` would go on until it has all, however slowly that comes.
            let byte = FCGX_GetChar(stream)
            guard byte >= 0 else { return inputEnd(FCGX_GetError(stream)) }
            buffer[0] = UInt8(truncatingIfNeeded: byte)
            count = 1
        }
        if let next = stream.pointee.rdNext, let stop = stream.pointee.stop {
            let more = min(stop - next, buffer.count - count)
            if more > 0, let target = buffer.baseAddress {
                memcpy(target + count, next, more)
                stream.pointee.rdNext = next + more
                count += more
            }
        }
        return .bytes(count)
    }

    private func inputEnd(_ error: Int32) -> InputResult {
        guard error != 0 else {
            isInputDone = true
            return .end
        }
        mustClose = true
        return error == EAGAIN ? .timedOut : .broken
    }

    func write(_ bytes: UnsafeRawBufferPointer) {
        guard failure == 0, let base = bytes.baseAddress else { return }
        var offset = 0
        while offset < bytes.count {
            let count = Int32(clamping: bytes.count - offset)
            // It returns success after an error, as long as its buffer has room; hence the question afterwards.
            FCGX_PutStr(base.assumingMemoryBound(to: CChar.self) + offset, count, request.pointee.out)
            failure = FCGX_GetError(request.pointee.out)
            guard failure == 0 else { return }
            offset += Int(count)
        }
    }

    func flush() -> Int32 {
        guard failure == 0 else { return failure }
        FCGX_FFlush(request.pointee.out)
        failure = FCGX_GetError(request.pointee.out)
        return failure
    }

    var watchDescriptor: Int32 { request.pointee.ipcFd }

    func isPeerGone() -> Bool {
        if mustClose || failure != 0 { return true }
        let events = Int16(POLLIN) | Int16(TOLLGATE_POLLRDHUP)
        var state = pollfd(fd: request.pointee.ipcFd, events: events, revents: 0)
        guard poll(&state, 1, 0) > 0 else { return false }
        if Int32(state.revents) & ~POLLIN != 0 {
            mustClose = true
        } else if isInputDone {
            // After the end of the body nothing may come but an abort record or the end of the connection.
            var byte: UInt8 = 0
            let count = recv(request.pointee.ipcFd, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
            mustClose = count >= 0 || (errno != EAGAIN && errno != EINTR)
        }
        return mustClose
    }
}
