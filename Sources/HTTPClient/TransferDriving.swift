import CLibCurl
import CLinux
import Glibc
import Threads

/// The moment up to which a transfer is driven.
enum Goal {
    case requestBegun, answered, bodyAvailable
}

/// `POLLRDHUP`, which Swift's Glibc module is built without.
let POLLRDHUP = Int32(TOLLGATE_POLLRDHUP)

// MARK: - Driving libcurl

extension TransferHandle {
    func isReached(_ goal: Goal) -> Bool {
        switch goal {
        case .requestBegun: state.hasBegun
        case .answered: head.isComplete
        case .bodyAvailable: !body.isEmpty
        }
    }

    /// Lets libcurl work until the goal is reached or the transfer has ended; false when the deadline passed first.
    func advance(to goal: Goal, until deadline: Deadline) throws(HTTPClientError) -> Bool {
        while true {
            if isReached(goal) || completion != nil { return true }
            if timer.isPast {
                timer = .never
                act(CURL_SOCKET_TIMEOUT, events: 0)
            } else {
                let waitMilliseconds = min(deadline, timer).remainingMilliseconds
                let readyCount = descriptors.withUnsafeMutableBufferPointer {
                    poll($0.baseAddress, nfds_t($0.count), waitMilliseconds)
                }
                if readyCount > 0 {
                    try throwIfWatchedIsReady()
                    actOnReadySockets()
                }
            }
            if deadline.isPast { return isReached(goal) || completion != nil }
        }
    }

    /// Takes what the sockets hold at this moment, without waiting.
    func takeWhatIsThere() {
        let readyCount = descriptors.withUnsafeMutableBufferPointer {
            poll($0.baseAddress, nfds_t($0.count), 0)
        }
        if readyCount > 0 { actOnReadySockets() }
    }

    /// Lets a paused transfer go on, now that the buffer is empty.
    func resume() {
        guard isPaused else { return }
        isPaused = false
        // Hands over what libcurl had read already, through the callback, before it returns.
        curl_easy_pause(easy, CURLPAUSE_CONT)
    }

    private func throwIfWatchedIsReady() throws(HTTPClientError) {
        for index in 0..<watchedCount where descriptors[index].revents != 0 {
            throw .watchedDescriptor(descriptors[index].fd)
        }
    }

    private func actOnReadySockets() {
        var index = watchedCount
        // libcurl changes the list while it works: an entry that moved keeps its `revents` and is found or polled again.
        while index < descriptors.count && completion == nil {
            let ready = descriptors[index]
            index += 1
            guard ready.revents != 0 else { continue }
            descriptors[index - 1].revents = 0
            var events: Int32 = 0
            if ready.revents & Int16(POLLIN | POLLHUP) != 0 { events |= CURL_CSELECT_IN }
            if ready.revents & Int16(POLLOUT) != 0 { events |= CURL_CSELECT_OUT }
            if ready.revents & Int16(POLLERR | POLLNVAL) != 0 { events |= CURL_CSELECT_ERR }
            act(ready.fd, events: events)
        }
    }

    private func act(_ socket: curl_socket_t, events: Int32) {
        var runningCount: Int32 = 0
        let code = curl_multi_socket_action(multi, socket, events, &runningCount)
        guard code == CURLM_OK else {
            completion = CURLE_OUT_OF_MEMORY
            return
        }
        guard runningCount == 0 else { return }
        var messagesLeft: Int32 = 0
        while let message = curl_multi_info_read(multi, &messagesLeft) {
            if message.pointee.msg == CURLMSG_DONE { completion = message.pointee.data.result }
        }
    }
}

// MARK: - Callbacks

extension TransferHandle {
    private static func handle(_ context: UnsafeMutableRawPointer?) -> TransferHandle {
        guard let context else { preconditionFailure("libcurl lost the callback's context") }
        return Unmanaged<TransferHandle>.fromOpaque(context).takeUnretainedValue()
    }

    /// Tells libcurl to call back here; the handle outlives both libcurl handles, so it is not retained.
    func installCallbacks() {
        let context = Unmanaged.passUnretained(self).toOpaque()
        for option in [CURLOPT_WRITEDATA, CURLOPT_HEADERDATA, CURLOPT_OPENSOCKETDATA, CURLOPT_PREREQDATA] {
            curl_easy_setopt_pointer(easy, option, context)
        }
        curl_easy_setopt_receive(easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
            TransferHandle.handle(context).receiveBody(
                UnsafeRawBufferPointer(start: bytes, count: size * count))
        }
        curl_easy_setopt_receive(easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
            TransferHandle.handle(context).receiveHeader(
                UnsafeRawBufferPointer(start: bytes, count: size * count))
        }
        curl_easy_setopt_opensocket(easy) { context, _, address in
            TransferHandle.handle(context).openSocket(address)
        }
        curl_easy_setopt_prereq(easy) { context, _, _, _, _ in
            TransferHandle.handle(context).mayBeginRequest()
        }
        curl_multi_setopt_pointer(multi, CURLMOPT_SOCKETDATA, context)
        curl_multi_setopt_socket(multi) { _, socket, what, context, _ in
            TransferHandle.handle(context).watch(socket, what: what)
            return 0
        }
        curl_multi_setopt_pointer(multi, CURLMOPT_TIMERDATA, context)
        curl_multi_setopt_timer(multi) { _, milliseconds, context in
            TransferHandle.handle(context).timer =
                milliseconds < 0 ? .never : .after(milliseconds: milliseconds)
            return 0
        }
    }

    private func receiveBody(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard body.isEmpty || body.count + bytes.count <= configuration.bufferedBytesMax else {
            isPaused = true
            return Int(CURL_WRITEFUNC_PAUSE)
        }
        body.append(contentsOf: bytes)
        bodyBytesReceived += bytes.count
        return bytes.count
    }

    private func receiveHeader(_ line: UnsafeRawBufferPointer) -> Int {
        guard head.append(line, bytesMax: configuration.headerBytesMax) else {
            state.headersOverflowed = true
            return 0
        }
        return line.count
    }

    private func openSocket(_ target: UnsafeMutablePointer<curl_sockaddr>?) -> curl_socket_t {
        guard let target, let offset = MemoryLayout<curl_sockaddr>.offset(of: \.addr) else { return -1 }
        // A new connection after the request had begun could only serve to send it again.
        guard !state.hasBegun else {
            state.isResendRefused = true
            return -1
        }
        let address = (UnsafeRawPointer(target) + offset).assumingMemoryBound(to: sockaddr.self)
        let permission = AddressGuard.permission(address)
        guard permission == .notNeeded || (permission == .needed && allowsPrivateAddresses) else {
            let text = AddressGuard.text(address, length: socklen_t(target.pointee.addrlen))
            state.refusal = permission == .needed ? .blockedAddress(text) : .forbiddenAddress(text)
            return -1
        }
        let kind = target.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(target.pointee.family, kind, target.pointee.protocol)
        if descriptor < 0 {
            state.openErrno = errno
        } else {
            state.socketsOpened += 1
        }
        return descriptor
    }

    /// Called by libcurl each time it is about to send the request: the first time is the only one.
    private func mayBeginRequest() -> Int32 {
        guard !state.hasBegun else {
            state.isResendRefused = true
            return CURL_PREREQFUNC_ABORT
        }
        state.hasBegun = true
        return CURL_PREREQFUNC_OK
    }

    private func watch(_ socket: curl_socket_t, what: Int32) {
        let index = descriptors[watchedCount...].firstIndex { $0.fd == socket }
        guard what != CURL_POLL_REMOVE else {
            if let index { descriptors.remove(at: index) }
            return
        }
        var events: Int16 = 0
        if what & CURL_POLL_IN != 0 { events |= Int16(POLLIN) }
        if what & CURL_POLL_OUT != 0 { events |= Int16(POLLOUT) }
        if let index {
            descriptors[index].events = events
        } else {
            descriptors.append(pollfd(fd: socket, events: events, revents: 0))
        }
    }
}
