import Glibc
import PrivateServers
import Testing
import Threads

@testable import Installation

@Suite struct ListenPortTests {
    @Test func `a taken port is named, with the option that chooses another`() throws {
        let redisPort = try freePort()
        let server = try SharedServers.Redis(settings: ["port": String(redisPort), "bind": "127.0.0.1"])
        defer { server.server.stop() }
        let error = #expect(throws: InstallationError.self) {
            try ListenPort.check(redisPort, option: "--admin-port")
        }
        let text = try #require(error?.description)
        #expect(text.contains(String(redisPort)) && text.contains("--admin-port"))
    }

    @Test func `a free port is no error, and the search skips what is taken`() throws {
        let port = try freePort()
        try ListenPort.check(port, option: "--port")
        let found = try #require(ListenPort.firstFree(from: port, excluding: [port]))
        #expect(found > port)
    }

    @Test func `asking where nobody listens has no answer`() throws {
        #expect(ListenPort.get("/readyz", port: try freePort(), until: .after(seconds: 1)) == nil)
    }
}
