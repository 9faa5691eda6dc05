import Foundation
import Glibc
import PrivateServers
import TestSupport
import TestTools
import Testing
import Threads

/// The simulated provider as a program of its own.
@Suite struct SimulateProviderTests {
    @Test func `it says where it listens at once, also into a file, and ends when it is told to`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/output"
        let process = try ChildProcess(
            [TestGateway.programs + "/tollgate", "simulate-provider", "--chunks", "2"], logPath: path)
        var url: String?
        let isTold = try Eventually.holds {
            let output = try String(contentsOfFile: path, encoding: .utf8)
            url = output.split(whereSeparator: \.isWhitespace).last.map { String($0) }
            return output.hasSuffix("/v1\n")
        }
        try #require(isTold)
        let answer = try TestHTTP.post(
            (url ?? "") + "/chat/completions", key: "x", EndpointsCaller.body("sim-ok"))
        #expect(answer.status == 200 && answer.body.contains("tok1 tok2 "))
        process.send(SIGTERM)
        #expect(process.wait(until: .after(seconds: 20)) == .exited(0))
    }
}
