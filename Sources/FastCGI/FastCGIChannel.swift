import CFastCGI
import CLinux
import Glibc
import Threads

/// One thread's libfcgi request, used for one connection after another.
///
/// libfcgi parses the parameters and frames the answer. It never accepts, never reads from a connection and never closes one:
/// `FCGX_Free` without closing takes the place of `FCGX_Finish_r`. So nobody but us decides how long a connection lingers and when its
/// descriptor's number is free.
final class FastCGIChannel: ExchangeChannel {
    private let request: UnsafeMutablePointer<FCGX_Request>
    private let input: RequestInput
    private let pipes: FeedPipes
    private var descriptor: Int32 = -1
    private var mustClose = false
    /// The first error of the answer, for ever after.
    private var failure: Int32 = 0
    /// Whether the end of the answer was sent, so that the web server keeps the connection.
    private var isFinished = false
    /// Whether the connection ends with this answer.
    private let isLast: () -> Bool

    init(pipes: FeedPipes, parametersBytesMax: Int, isLast: @escaping () -> Bool) {
        self.pipes = pipes
        self.isLast = isLast
        input = RequestInput(parametersBytesMax: parametersBytesMax)
        request = .allocate(capacity: 1)
        request.initialize(to: FCGX_Request())
    }

    deinit {
        request.deallocate()
    }

    /// Reads a request from a connection up to its body; false when the connection must be closed instead.
    func begin(_ descriptor: Int32, until deadline: Deadline) -> Bool {
        self.descriptor = descriptor
        mustClose = false
        failure = 0
        isFinished = false
        guard let parameters = input.receiveParameters(descriptor, until: deadline) else { return false }
        var pipe = pipes.take()
        while pipe == nil {
            // Out of descriptors: the pipes there are come back at once.
            guard !deadline.isPast else { return false }
            usleep(500)
            pipe = pipes.take()
        }
        guard let pipe else { return false }
        return parse(parameters, through: pipe)
    }

    /// Lets libfcgi parse the parameters from a pipe, then points it to the connection.
    private func parse(_ parameters: UnsafeRawBufferPointer, through pipe: FeedPipes.Pipe) -> Bool {
        guard parameters.count <= pipe.capacity else {
            pipes.giveBack(pipe)
            return false
        }
        guard Glibc.write(pipe.writer, parameters.baseAddress, parameters.count) == parameters.count else {
            FeedPipes.close(pipe)
            return false
        }
        FCGX_InitRequest(request, -1, 0)
        request.pointee.ipcFd = pipe.reader
        request.pointee.keepConnection = 1
        // Detached: should libfcgi close, then without shutting down and waiting for a peer first.
        FCGX_Detach(request)
        guard FCGX_Accept_r(request) == 0 else {
            // It saw an error where the scan saw none, closed the reader, and could not accept on the listening socket -1.
            close(pipe.writer)
            return false
        }
        pipes.giveBack(pipe)
        // Its 8 KiB have been read from for the last time; a stream would keep them for minutes.
        FCGX_FreeStream(&request.pointee.in)
        request.pointee.ipcFd = descriptor
        return true
    }

    /// Ends the exchange: drops the rest of the body, sends the rest of the answer and its end, frees libfcgi's buffers.
    ///
    /// True when the web server keeps the connection for its next request; else it must be closed.
    func end(discardBytesMax: Int, until deadline: Deadline) -> Bool {
        let keepsConnection = isFinished || !isLast()
        if !input.isDone {
            // The answer first: a client that is still sending may be waiting for it.
            _ = flush()
            discardInput(bytesMax: discardBytesMax, until: deadline)
        }
        // After a failed write another one would send parts twice, or wait for the timeout again.
        if failure == 0, request.pointee.keepConnection != 0, !keepsConnection {
            sendLastEnd()
        } else if failure == 0, !isFinished {
            sendEnd()
        }
        let isKept =
            failure == 0 && keepsConnection && input.isDone && !input.hasMore && !mustClose
            && request.pointee.keepConnection != 0
        FCGX_Free(request, 0)
        return isKept
    }

    /// Sends what is buffered and the end of the answer, in one write.
    private func sendEnd() {
        FCGX_FClose(request.pointee.err)
        FCGX_FClose(request.pointee.out)
        failure = FCGX_GetError(request.pointee.out)
    }

    /// Ends the answer so that nginx does not keep the connection, although it asked for that.
    ///
    /// FastCGI has no word for it. Closing after the usual end would race with nginx's next request, which would be lost. But nginx
    /// keeps a connection only if nothing follows the end of the request, so something follows: an empty record, in the same write.
    private func sendLastEnd() {
        guard flush() == 0 else { return }
        let (high, low) = (
            UInt8(request.pointee.requestId >> 8 & 255), UInt8(request.pointee.requestId & 255)
        )
        let endOfOutput: [UInt8] = [1, 6, high, low, 0, 0, 0, 0]
        let endOfRequest: [UInt8] = [1, 3, high, low, 0, 8, 0, 0] + [0, 0, 0, 0, 0, 0, 0, 0]
        let unknownType: [UInt8] = [1, 11, 0, 0, 0, 0, 0, 0]
        let records = endOfOutput + endOfRequest + unknownType
        _ = send(descriptor, records, records.count, Int32(MSG_NOSIGNAL))
    }

    private func discardInput(bytesMax: Int, until deadline: Deadline) {
        withUnsafeTemporaryAllocation(byteCount: 16 * 1_024, alignment: 8) { buffer in
            var discarded = 0
            while discarded < bytesMax {
                guard case .bytes(let count) = read(into: buffer, until: deadline) else { return }
                discarded += count
            }
        }
    }

    // MARK: - ExchangeChannel

    func parameter(_ name: String) -> UnsafePointer<CChar>? {
        // Without `withCString` Swift makes a copy.
        name.withCString { UnsafePointer(FCGX_GetParam($0, request.pointee.envp)) }
    }

    func forEachParameter(_ name: String, _ body: (UnsafePointer<CChar>) -> Void) {
        guard var entry = request.pointee.envp else { return }
        let length = name.utf8.count
        name.withCString { name in
            while let pair = entry.pointee {
                if strncmp(name, pair, length) == 0, pair[length] == CChar(UInt8(ascii: "=")) {
                    body(pair + length + 1)
                }
                entry += 1
            }
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline) -> InputResult {
        let result = input.read(into: buffer, until: deadline)
        if result == .timedOut || result == .broken { mustClose = true }
        return result
    }

    func write(_ bytes: UnsafeRawBufferPointer) {
        guard failure == 0, !isFinished, let base = bytes.baseAddress else { return }
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
        guard failure == 0, !isFinished else { return failure }
        FCGX_FFlush(request.pointee.out)
        failure = FCGX_GetError(request.pointee.out)
        return failure
    }

    func finish() -> Int32 {
        guard failure == 0, input.isDone, !isFinished, !isLast() else { return flush() }
        sendEnd()
        isFinished = true
        return failure
    }

    var watchDescriptor: Int32 { descriptor }

    func isPeerGone() -> Bool {
        if mustClose || failure != 0 || input.hasMore { return true }
        let events = Int16(POLLIN) | Int16(TOLLGATE_POLLRDHUP)
        var state = pollfd(fd: descriptor, events: events, revents: 0)
        guard poll(&state, 1, 0) > 0 else { return false }
        if Int32(state.revents) & ~POLLIN != 0 {
            mustClose = true
        } else if input.isDone {
            // After the end of the body nothing may come but an abort record or the end of the connection.
            var byte: UInt8 = 0
            let count = recv(descriptor, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
            mustClose = count >= 0 || (errno != EAGAIN && errno != EINTR)
        }
        return mustClose
    }
}
