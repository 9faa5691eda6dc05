import CLibCurl
import Glibc
import Threads

/// One libcurl easy handle in a multi handle of its own, with at most one warm connection, used for one transfer after another.
///
/// libcurl is driven through `curl_multi_socket_action` and a `poll` of our own, so that one system call waits for the
/// provider, for the watched descriptors and for the nearest deadline together.
final class TransferHandle: @unchecked Sendable {
    // Touched by one thread at a time: the owner of the transfer, or the pool's mutex hands it to the next one. libcurl's
    // callbacks run inside calls that the owner makes.

    let url: String
    let configuration: HTTPTransport.Configuration
    let allowsPrivateAddresses: Bool
    let easy: UnsafeMutableRawPointer
    let multi: UnsafeMutableRawPointer
    private let errorText: UnsafeMutablePointer<CChar>
    /// The URL in its parts: libcurl would take it apart for each transfer.
    private let parsedURL: OpaquePointer
    private var headers = HeaderList()

    /// Watched descriptors first, then libcurl's sockets.
    var descriptors: [pollfd] = []
    var watchedCount = 0
    /// When libcurl wants to be called without a socket being ready.
    var timer = Deadline.never

    var head = AnswerHead()
    var body: [UInt8] = []
    var bodyBytesReceived = 0
    var isPaused = false
    /// libcurl's verdict once the transfer has ended.
    var completion: CURLcode?
    var state = SendState()

    private(set) var firstByteMicroseconds = 0
    /// The socket of the connection while it is idle; -1 when its last answer has closed it.
    private var idleSocket: curl_socket_t = -1
    private var isAdded = false
    private var timeouts = HTTPTimeouts(
        connectMilliseconds: 0, firstByteMilliseconds: 0, gapMilliseconds: 0, totalMilliseconds: 0)
    private var totalDeadline = Deadline.never
    private var gapDeadline: Deadline?

    /// What happened on the way from the name to the request's first byte.
    struct SendState {
        var socketsOpened = 0
        var openErrno: Int32 = 0
        /// Why the last address that was refused was.
        var refusal: HTTPClientError?
        /// Set when the connection is ready and the request is about to be sent.
        var hasBegun = false
        /// libcurl wanted to send the request a second time.
        var isResendRefused = false
        var headersOverflowed = false
    }

    init(
        url: String, configuration: HTTPTransport.Configuration, allowsPrivateAddresses: Bool
    ) throws(HTTPClientError) {
        try RequestRules.check(url: url)
        guard let parsedURL = curl_url() else { throw .resourcesExhausted("no URL handle") }
        guard curl_url_set(parsedURL, CURLUPART_URL, url, 0) == CURLUE_OK else {
            curl_url_cleanup(parsedURL)
            throw .invalidRequest("libcurl does not accept the URL")
        }
        guard let easy = curl_easy_init() else {
            curl_url_cleanup(parsedURL)
            throw .resourcesExhausted("no easy handle")
        }
        guard let multi = curl_multi_init() else {
            curl_url_cleanup(parsedURL)
            curl_easy_cleanup(easy)
            throw .resourcesExhausted("no multi handle")
        }
        self.url = url
        self.parsedURL = parsedURL
        self.configuration = configuration
        self.allowsPrivateAddresses = allowsPrivateAddresses
        self.easy = easy
        self.multi = multi
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        setFixedOptions()
        installCallbacks()
    }

    deinit {
        if isAdded { curl_multi_remove_handle(multi, easy) }
        curl_easy_cleanup(easy)
        curl_multi_cleanup(multi)
        curl_url_cleanup(parsedURL)
        errorText.deallocate()
    }

    var reusedConnection: Bool { state.socketsOpened == 0 }

    // MARK: - The life of one transfer

    /// Sends the request and waits until the answer's headers are complete.
    func begin(_ request: HTTPRequest, timeouts: HTTPTimeouts, watching: [Int32]) throws(HTTPClientError) {
        let started = Deadline.now
        self.timeouts = timeouts
        totalDeadline = started.advanced(milliseconds: timeouts.totalMilliseconds)
        gapDeadline = nil
        head.reset()
        bodyBytesReceived = 0
        completion = nil
        state = SendState()
        errorText.pointee = 0
        watchedCount = watching.count
        let watchedEvents = Int16(POLLIN) | Int16(POLLRDHUP)
        descriptors.insert(
            contentsOf: watching.lazy.map { pollfd(fd: $0, events: watchedEvents, revents: 0) }, at: 0)
        try setOptions(for: request)
        guard curl_multi_add_handle(multi, easy) == CURLM_OK else {
            throw .resourcesExhausted("the transfer could not be added")
        }
        isAdded = true
        try wait(
            .requestBegun, until: started.advanced(milliseconds: timeouts.connectMilliseconds),
            stage: .connect)
        try wait(.answered, until: .after(milliseconds: timeouts.firstByteMilliseconds), stage: .firstByte)
        firstByteMicroseconds = Int(started.elapsedNanoseconds / 1_000)
        if let coding = head.value(of: "content-encoding"), coding.lowercased() != "identity" {
            throw .protocolError("the answer is encoded although identity was asked for")
        }
    }

    /// Hands over what has come of the body, or waits for more.
    func read(
        into buffer: inout [UInt8], idleMilliseconds: Int
    ) throws(HTTPClientError) -> HTTPTransfer.ReadOutcome {
        if body.isEmpty { resume() }
        if body.isEmpty && completion == nil {
            let now = Deadline.now
            let gap = gapDeadline ?? now.advanced(milliseconds: timeouts.gapMilliseconds)
            gapDeadline = gap
            let idle = now.advanced(milliseconds: idleMilliseconds)
            guard try advance(to: .bodyAvailable, until: min(totalDeadline, gap, idle)) else {
                if totalDeadline.isPast { throw .timeout(.total) }
                if gap.isPast { throw .timeout(.gap) }
                return .idle
            }
        }
        if !body.isEmpty {
            let count = body.count
            buffer.append(contentsOf: body)
            body.removeAll(keepingCapacity: true)
            gapDeadline = nil
            if totalDeadline.isPast { throw .timeout(.total) }
            return .data(count)
        }
        guard let completion, completion == CURLE_OK else { throw failure(completion ?? CURLE_RECV_ERROR) }
        return .end
    }

    /// Ends the transfer; whether the handle and its connection may serve another.
    func finish() -> Bool {
        // The end of the body is often there already when the reader has seen all it wanted.
        if completion == nil { takeWhatIsThere() }
        let isReusable = completion == CURLE_OK
        idleSocket = -1
        if isReusable { curl_easy_getinfo_socket(easy, CURLINFO_ACTIVESOCKET, &idleSocket) }
        curl_multi_remove_handle(multi, easy)
        isAdded = false
        guard isReusable else { return false }
        stopWatching()
        forgetRequest()
        return true
    }

    /// Watches no descriptor from now on.
    func stopWatching() {
        descriptors.removeFirst(watchedCount)
        watchedCount = 0
    }

    /// Whether nothing has come over the idle connection.
    ///
    /// A closed one is dead. One that has sent bytes unasked would have them taken for the next answer.
    func isConnectionQuiet() -> Bool {
        guard idleSocket >= 0 else { return true }
        var byte: UInt8 = 0
        return recv(idleSocket, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT)) < 0
            && (errno == EAGAIN || errno == EWOULDBLOCK)
    }

    /// Drops the prompt and the answer, so that an idle handle holds no one's data and little memory.
    private func forgetRequest() {
        curl_easy_setopt_pointer(easy, CURLOPT_POSTFIELDS, nil)
        head.reset()
        body.removeAll(keepingCapacity: body.capacity <= 64 * 1_024)
    }

    // MARK: - Waiting

    private func wait(_ goal: Goal, until deadline: Deadline, stage: HTTPClientError.Stage)
        throws(HTTPClientError)
    {
        guard try advance(to: goal, until: min(deadline, totalDeadline)) else {
            throw .timeout(totalDeadline.isPast ? .total : stage)
        }
        if !isReached(goal), let completion {
            // libcurl finds nothing wrong with an answer that ends inside its headers.
            throw failure(completion == CURLE_OK ? CURLE_PARTIAL_FILE : completion)
        }
    }

    /// The error that a failed transfer ends with.
    func failure(_ code: CURLcode) -> HTTPClientError {
        if state.headersOverflowed { return .headersTooLarge }
        if state.isResendRefused { return .connectionLost(answerBegun: false) }
        let text = String(
            cString: errorText.pointee == 0 ? curl_easy_strerror(code) : UnsafePointer(errorText))
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST:
            return .resolveFailed
        case CURLE_COULDNT_CONNECT:
            if let refusal = state.refusal, state.socketsOpened == 0 { return refusal }
            if state.openErrno != 0 { return .resourcesExhausted("socket: errno \(state.openErrno)") }
            return .connectFailed(text)
        case CURLE_OPERATION_TIMEDOUT:
            return .timeout(.connect)
        case CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_PARTIAL_FILE:
            return .connectionLost(answerBegun: head.bytesReceived > 0)
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
            CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS:
            return .tlsFailed(text)
        case CURLE_OUT_OF_MEMORY:
            // libcurl's word for a single header line that outgrows its buffer.
            return state.hasBegun ? .headersTooLarge : .resourcesExhausted(text)
        case CURLE_URL_MALFORMAT:
            return .invalidRequest(text)
        default:
            return .protocolError("libcurl \(code.rawValue): \(text)")
        }
    }
}

// MARK: - Options

extension TransferHandle {
    private func set(_ option: CURLoption, _ value: Int) {
        let code = curl_easy_setopt_long(easy, option, value)
        precondition(code == CURLE_OK, "libcurl lacks option \(option.rawValue)")
    }

    private func set(_ option: CURLoption, _ value: String?) {
        let code = curl_easy_setopt_string(easy, option, value)
        precondition(code == CURLE_OK, "libcurl lacks option \(option.rawValue)")
    }

    /// What is the same for every request.
    private func setFixedOptions() {
        set(CURLOPT_NOSIGNAL, 1)
        set(CURLOPT_NOPROGRESS, 1)
        set(CURLOPT_TCP_NODELAY, 1)
        set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        set(CURLOPT_FOLLOWLOCATION, 0)
        set(CURLOPT_HTTP_CONTENT_DECODING, 0)
        set(CURLOPT_SSL_VERIFYPEER, 1)
        set(CURLOPT_SSL_VERIFYHOST, 2)
        set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        set(CURLOPT_MAXAGE_CONN, configuration.idleSecondsMax)
        set(CURLOPT_MAXLIFETIME_CONN, configuration.connectionSecondsMax)
        // A name server that hangs must not hold the thread that gave up waiting for it.
        set(CURLOPT_QUICK_EXIT, 1)
        set(CURLOPT_PROTOCOLS_STR, "http,https")
        // The environment's proxy is not for us.
        set(CURLOPT_NOPROXY, "*")
        // A quarter of the default: each of thousands of streams has one, and events are small.
        set(CURLOPT_BUFFERSIZE, 4 * 1_024)
        // Without a directory beside the file libcurl parses the authorities once a handle, not once a connection.
        set(CURLOPT_CAPATH, nil)
        set(CURLOPT_CAINFO, configuration.caFile)
        curl_easy_setopt_pointer(easy, CURLOPT_ERRORBUFFER, errorText)
        // Beside the parts the text, without which libcurl puts it together for each transfer.
        set(CURLOPT_URL, url)
        curl_easy_setopt_pointer(easy, CURLOPT_CURLU, UnsafeRawPointer(parsedURL))
        curl_multi_setopt_long(multi, CURLMOPT_MAXCONNECTS, 1)
    }

    /// What belongs to this request.
    private func setOptions(for request: HTTPRequest) throws(HTTPClientError) {
        set(CURLOPT_CONNECTTIMEOUT_MS, min(timeouts.connectMilliseconds, Int(Int32.max)))
        curl_easy_setopt_pointer(easy, CURLOPT_HTTPHEADER, try headers.set(request.headers))
        curl_easy_setopt_string(easy, CURLOPT_CUSTOMREQUEST, nil)
        switch request.method {
        case "GET" where request.body.isEmpty:
            set(CURLOPT_HTTPGET, 1)
        case "HEAD" where request.body.isEmpty:
            set(CURLOPT_NOBODY, 1)
        case "POST":
            set(CURLOPT_POST, 1)
        default:
            set(request.body.isEmpty ? CURLOPT_HTTPGET : CURLOPT_POST, 1)
            curl_easy_setopt_string(easy, CURLOPT_CUSTOMREQUEST, request.method)
        }
        // The copy lets libcurl send head and body in one segment, whatever becomes of the caller's array.
        let code = request.body.withUnsafeBytes { bytes in
            curl_easy_setopt_offset(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(bytes.count))
            guard let start = bytes.baseAddress, !bytes.isEmpty else {
                return curl_easy_setopt_string(easy, CURLOPT_COPYPOSTFIELDS, "")
            }
            return curl_easy_setopt_pointer(easy, CURLOPT_COPYPOSTFIELDS, start)
        }
        guard code == CURLE_OK else { throw .resourcesExhausted("no memory for the body") }
        if request.body.isEmpty && request.method != "POST" {
            // Setting the fields has made it a POST again.
            set(request.method == "HEAD" ? CURLOPT_NOBODY : CURLOPT_HTTPGET, 1)
        }
    }
}
