import Testing

@testable import Installation

@Suite struct InstallationLayoutTests {
    @Test func `a path is made absolute and plain`() throws {
        let layout = try InstallationLayout(directory: "/tmp/../tmp/./does-not-exist//x/")
        #expect(layout.directory == "/tmp/does-not-exist/x")
        #expect(try InstallationLayout(directory: "relative").directory.hasPrefix("/"))
    }

    @Test(arguments: ["a\"b", "a\nb", "a$b", "a\\b", "a*b", "a,b"])
    func `a path that configuration files cannot hold is refused`(name: String) {
        #expect(throws: InstallationError.self) { try InstallationLayout(directory: "/tmp/" + name) }
    }

    @Test func `spaces and quotes are welcome in a path`() throws {
        let layout = try InstallationLayout(directory: "/tmp/it's my gateway")
        #expect(layout.environmentPath == "/tmp/it's my gateway/env")
    }

    @Test func `every socket path fits into what the kernel takes, however deep the directory`() {
        for length in [10, 70, 80, 90, 200, 1_000] {
            let directory = "/" + String(repeating: "d", count: length)
            for isRoot in [true, false] {
                let runtime = InstallationLayout.runtimeDirectory(of: directory, isRoot: isRoot)
                #expect((runtime + "/postgres/.s.PGSQL.5432").utf8.count <= 107)
                #expect((runtime + "/tollgated.4194304.sock").utf8.count <= 107)
            }
        }
    }

    @Test func `two directories have two runtime directories`() {
        let first = InstallationLayout.runtimeDirectory(of: "/srv/a", isRoot: true)
        let second = InstallationLayout.runtimeDirectory(of: "/srv/b", isRoot: true)
        #expect(first != second)
    }
}
