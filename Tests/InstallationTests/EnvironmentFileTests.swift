import PrivateServers
import Testing

@testable import Installation

@Suite struct EnvironmentFileTests {
    private static let values = [
        "TOLLGATE_KEY": "tg_abc", "TOLLGATE_DATABASE": #"host='/a b' user=x"#, "TOLLGATE_EMPTY": "",
        "TOLLGATE_ODD": #"$HOME `id` "quoted" \ ; & | é"#,
    ]

    private static var file: EnvironmentFile {
        var file = EnvironmentFile()
        for (name, value) in values { file[name] = value }
        return file
    }

    @Test func `what was written is read again`() {
        #expect(EnvironmentFile(text: Self.file.text) == Self.file)
    }

    @Test func `a shell that sources the file sees exactly the values`() throws {
        let directory = try TemporaryDirectory()
        try SystemCalls.write(Self.file.text, to: directory.path + "/env", mode: 0o600)
        for (name, value) in Self.values {
            let seen = try ChildProcess.run(
                ["/bin/sh", "-c", ". \"$0\" && printf %s \"$\(name)\"", directory.path + "/env"])
            #expect(seen == value)
        }
    }

    @Test func `lines of another form are left out`() {
        let file = EnvironmentFile(text: "# hello\nexport A='1'\nB='2'\nexport C=3\n\nexport D='it'\\''s'\n")
        #expect(file.values == ["A": "1", "D": "it's"])
    }

    @Test func `a value that is taken away is not written`() {
        var file = Self.file
        file["TOLLGATE_KEY"] = nil
        #expect(!file.text.contains("TOLLGATE_KEY"))
    }
}
