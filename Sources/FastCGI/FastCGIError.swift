/// Why the responder could not be set up.
package enum FastCGIError: Error, Equatable {
    /// A system call failed; `code` is its `errno` value.
    case system(call: String, code: Int32)
    /// The socket's path does not fit into an address (107 bytes).
    case pathTooLong
    /// Another process is listening on the path.
    case addressInUse
}
