/// What the first bytes of a connection are, decided before libfcgi sees them.
///
/// libfcgi blocks until all parameters have come, believes lengths of up to 2 GiB, and overruns a 64-byte buffer (it aborts the
/// process) when a management record asks for more than three values. So it is only given what this calls `complete`.
enum RequestScan: Equatable {
    /// A whole request up to the end of its parameters, which is so many bytes long, without the padding that follows.
    case complete(bytes: Int, padding: Int, requestID: Int)
    /// The beginning of a request.
    case incomplete
    /// Not a request that we take: wrong version, record, role or length.
    case malformed

    /// Looks at bytes that begin where a request should begin.
    static func scan(_ bytes: UnsafeRawBufferPointer, parametersBytesMax: Int) -> RequestScan {
        guard bytes.count >= Record.headerBytes else { return .incomplete }
        let begin = Record(bytes, at: 0)
        // libfcgi forgets to skip padding here; no web server sends any after eight bytes.
        guard begin.isValid, begin.type == Record.beginRequest, begin.contentBytes == 8,
            begin.paddingBytes == 0
        else { return .malformed }
        guard begin.end <= bytes.count else { return .incomplete }
        let role = Int(bytes[Record.headerBytes]) << 8 | Int(bytes[Record.headerBytes + 1])
        guard role == Record.responderRole else { return .malformed }

        var pairs = PairScan(bytesMax: parametersBytesMax)
        var offset = begin.end
        while offset + Record.headerBytes <= bytes.count {
            let record = Record(bytes, at: offset)
            guard record.isValid, record.type == Record.parameters, record.requestID == begin.requestID else {
                return .malformed
            }
            if record.contentBytes == 0 {
                guard pairs.isAtBoundary else { return .malformed }
                return .complete(
                    bytes: offset + Record.headerBytes, padding: record.paddingBytes,
                    requestID: begin.requestID)
            }
            let start = offset + Record.headerBytes
            let content = bytes[start..<min(start + record.contentBytes, bytes.count)]
            guard pairs.consume(content) else { return .malformed }
            offset = record.end
        }
        return .incomplete
    }
}

/// The header of one FastCGI record.
struct Record {
    static let headerBytes = 8
    static let beginRequest = 1
    static let parameters = 4
    static let standardInput = 5
    static let responderRole = 1

    let isValid: Bool
    let type: Int
    let requestID: Int
    let contentBytes: Int
    let paddingBytes: Int
    let end: Int

    /// Reads the header at `offset`; all its eight bytes must be there.
    init(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        type = Int(bytes[offset + 1])
        requestID = Int(bytes[offset + 2]) << 8 | Int(bytes[offset + 3])
        contentBytes = Int(bytes[offset + 4]) << 8 | Int(bytes[offset + 5])
        paddingBytes = Int(bytes[offset + 6])
        end = offset + Self.headerBytes + contentBytes + paddingBytes
        // Request 0 carries management records, which nginx does not send.
        isValid = bytes[offset] == 1 && requestID != 0
    }
}

/// Walks over name-value pairs that records may cut anywhere.
private struct PairScan {
    private let bytesMax: Int
    private var seen = 0
    /// Bytes of the present name and value that are still to come.
    private var skip = 0
    /// Of the length being read: what is known, and how many bytes of it are missing.
    private var length = 0
    private var lengthMissing = 0
    /// The name's length, once it is known and the value's is being read.
    private var nameBytes: Int?

    init(bytesMax: Int) {
        self.bytesMax = bytesMax
    }

    var isAtBoundary: Bool { skip == 0 && lengthMissing == 0 && nameBytes == nil }

    /// Takes the next part of the content; false when it claims more than is allowed.
    mutating func consume(_ content: Slice<UnsafeRawBufferPointer>) -> Bool {
        seen += content.count
        guard seen <= bytesMax else { return false }
        var index = content.startIndex
        while index < content.endIndex {
            if skip > 0 {
                let step = min(skip, content.endIndex - index)
                skip -= step
                index += step
                continue
            }
            take(Int(content[index]))
            index += 1
            guard skip <= bytesMax else { return false }
        }
        return true
    }

    private mutating func take(_ byte: Int) {
        if lengthMissing > 0 {
            length = length << 8 | byte
            lengthMissing -= 1
        } else {
            length = byte & 0x7f
            // The highest bit says that three more bytes of the length follow.
            lengthMissing = byte & 0x80 == 0 ? 0 : 3
        }
        guard lengthMissing == 0 else { return }
        if let name = nameBytes {
            skip = name + length
            nameBytes = nil
        } else {
            nameBytes = length
        }
    }
}
