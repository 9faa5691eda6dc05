/// A process that owns pending rows.
package struct OwnerIdentity: Sendable, Hashable {
    /// The name in the rows, unique for each start.
    package let name: String
    /// The kernel's boot id and the pid namespace: where `pid` means something.
    package let host: String
    /// The process id there.
    package let pid: Int32
    /// When the process started, in clock ticks since boot: tells it from a later one with the same pid.
    package let processStart: Int64

    /// Creates the identity of a process.
    package init(name: String, host: String, pid: Int32, processStart: Int64) {
        self.name = name
        self.host = host
        self.pid = pid
        self.processStart = processStart
    }
}
