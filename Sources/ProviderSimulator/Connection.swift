import Glibc

/// One client's connection: bytes received, bytes to send, and the call being answered.
final class Connection {
    let descriptor: Int32
    /// Tells this connection from earlier and later ones with the same descriptor.
    let serial: UInt64
    var input: [UInt8] = []
    var output: [UInt8] = []
    /// How much of `output` the kernel has accepted.
    private var sentBytes = 0
    /// Where in `output` each content chunk ends, and how many of them are sent.
    var contentEnds: [Int] = []
    private var contentEndsSent = 0
    var call: Call?
    /// What epoll watches for.
    var interest: UInt32
    var sentContinue = false
    var closesAfterOutput = false
    /// The other side has closed its half, or the whole connection broke.
    var isBroken = false

    init(descriptor: Int32, serial: UInt64, interest: UInt32) {
        self.descriptor = descriptor
        self.serial = serial
        self.interest = interest
    }

    var isDrained: Bool { sentBytes == output.count }

    /// Drops a request that has begun from the input, and the room that a large one took.
    func forgetInput(_ count: Int) {
        if count == input.count {
            input.removeAll(keepingCapacity: input.capacity <= 64 * 1_024)
        } else {
            input.removeFirst(count)
        }
    }

    /// Sends as much as the kernel takes.
    func send() {
        while !isDrained {
            let count = output.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress.map { $0 + sentBytes }, $0.count - sentBytes,
                    Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else {
                if errno == EINTR { continue }
                isBroken = errno != EAGAIN
                return
            }
            sentBytes += count
            while contentEndsSent < contentEnds.count && contentEnds[contentEndsSent] <= sentBytes {
                contentEndsSent += 1
                call?.completionTokensSent += 1
            }
        }
        sentBytes = 0
        output.removeAll(keepingCapacity: output.capacity <= 64 * 1_024)
        contentEnds.removeAll(keepingCapacity: true)
        contentEndsSent = 0
    }
}
