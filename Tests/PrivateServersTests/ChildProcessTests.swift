import Glibc
import PrivateServers
import TestTools
import Testing
import Threads

@Suite struct ChildProcessTests {
    @Test func `a program's status and output come back`() throws {
        #expect(try ChildProcess.run(["/bin/sh", "-c", "echo out; echo err >&2"]) == "out\nerr\n")
        let error = #expect(throws: ServerError.self) {
            try ChildProcess.run(["/bin/sh", "-c", "echo broken; exit 3"])
        }
        #expect(error?.description.contains("broken") == true)
        #expect(error?.description.contains("exited(3)") == true)
    }

    @Test func `the environment is ours with the given changes`() throws {
        let directory = try TemporaryDirectory()
        let process = try ChildProcess(
            ["/bin/sh", "-c", "echo $TOLLGATE_PROBE:$PATH"], environment: ["TOLLGATE_PROBE": "7"],
            logPath: directory.path + "/log")
        #expect(process.wait(until: .after(seconds: 10)) == .exited(0))
        #expect(try text(of: process.logPath).hasPrefix("7:/"))
    }

    @Test func `a child starts with no blocked signal although all of ours are`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/log"
        let thread = try WorkerThread(name: "blocked") {
            WorkerThread.blockAllSignals()
            let process = try? ChildProcess(["/bin/grep", "SigBlk", "/proc/self/status"], logPath: path)
            _ = process?.wait(until: .after(seconds: 10))
        }
        thread.join()
        #expect(try text(of: path) == "SigBlk:\t0000000000000000\n")
    }

    @Test func `termination escalates to a kill when the signal is ignored`() throws {
        let directory = try TemporaryDirectory()
        let process = try ChildProcess(
            ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"],
            logPath: directory.path + "/log")
        #expect(try Eventually.holds { try !text(of: process.logPath).isEmpty })
        #expect(process.isRunning)
        #expect(process.terminate(until: .after(milliseconds: 100)) == .signalled(SIGKILL))
        #expect(!process.isRunning)
        process.send(SIGTERM)
    }

    @Test func `dropping the last reference kills the child`() throws {
        let directory = try TemporaryDirectory()
        var process: ChildProcess? = try ChildProcess(
            ["/bin/sleep", "60"], logPath: directory.path + "/log")
        let pid = try #require(process?.pid)
        process = nil
        #expect(kill(pid, 0) == -1)
    }

    @Test func `the kernel is asked to end a child with us, under another user as well`() throws {
        let directory = try TemporaryDirectory()
        for user in geteuid() == 0 ? [nil, "postgres"] : [nil] {
            let process = try ChildProcess(
                ["/usr/bin/setpriv", "-d"], logPath: directory.path + "/log", deathSignal: .interrupt,
                user: user)
            #expect(process.wait(until: .after(seconds: 10)) == .exited(0))
            #expect(try text(of: process.logPath).hasSuffix("Parent death signal: INT\n"))
            unlink(process.logPath)
        }
    }

    @Test func `sockets are handed over as systemd does it, whatever numbers they have here`() throws {
        let directory = try TemporaryDirectory()
        // A socket is told from another by the number of its inode.
        let sockets = (0..<3).map { _ in
            socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        }
        defer { for descriptor in sockets { close(descriptor) } }
        let script = """
            [ "$LISTEN_PID" = $$ ] && echo "$LISTEN_FDS"
            for file in /proc/$$/fd/[3-9]; do readlink $file || :; done
            """
        for passed in [sockets, sockets.reversed(), [sockets[1]]] {
            let process = try ChildProcess(
                ["/bin/sh", "-c", script], logPath: directory.path + "/log", listening: Array(passed))
            #expect(process.wait(until: .after(seconds: 10)) == .exited(0))
            let inodes = passed.map { descriptor in
                var status = stat()
                fstat(descriptor, &status)
                return "socket:[\(status.st_ino)]\n"
            }
            #expect(try text(of: process.logPath) == "\(passed.count)\n" + inodes.joined())
            unlink(process.logPath)
        }
    }

    @Test func `a missing program names its package`() {
        let error = ServerError.missingProgram("nginx", package: "nginx")
        #expect(error.description == "nginx is not installed: apt-get install nginx")
    }

    @Test func `a temporary directory is removed with its contents`() throws {
        var directory: TemporaryDirectory? = try TemporaryDirectory()
        let path = try #require(directory?.path)
        mkdir(path + "/a", 0o755)
        _ = try ChildProcess.run(["/bin/sh", "-c", "echo x > \(path)/a/b; ln -s / \(path)/link"])
        directory = nil
        #expect(access(path, F_OK) == -1)
        #expect(access("/bin/sh", F_OK) == 0)
    }

    private func text(of path: String) throws -> String {
        try ChildProcess.run(["/bin/cat", path])
    }
}
