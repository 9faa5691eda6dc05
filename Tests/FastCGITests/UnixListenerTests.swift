import FastCGI
import Glibc
import PrivateServers
import TestTools
import Testing

@Suite struct UnixListenerTests {
    @Test func `a socket has the mode it was given`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/socket"
        let descriptor = try UnixListener.open(path: path, mode: 0o660)
        defer { close(descriptor) }
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o660)
    }

    @Test func `a socket that a dead process left is replaced, a living one is not`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/socket"
        close(try UnixListener.open(path: path, mode: 0o600))
        let descriptor = try UnixListener.open(path: path, mode: 0o600)
        defer { close(descriptor) }
        #expect(throws: FastCGIError.addressInUse) { try UnixListener.open(path: path, mode: 0o600) }
        #expect(TestSocket.connect(path: path).map { close($0) } == 0)
    }

    @Test func `a path that is too long is refused`() {
        let path = "/tmp/" + String(repeating: "x", count: 103)
        #expect(throws: FastCGIError.pathTooLong) { try UnixListener.open(path: path, mode: 0o600) }
    }

    @Test func `a file that is no socket is not touched`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/file"
        close(open(path, O_CREAT | O_WRONLY, 0o600))
        #expect(throws: FastCGIError.system(call: "bind", code: EADDRINUSE)) {
            try UnixListener.open(path: path, mode: 0o600)
        }
        #expect(unlink(path) == 0)
    }

    @Test func `a process without a socket unit inherits nothing`() {
        #expect(UnixListener.inherited().isEmpty)
    }
}
