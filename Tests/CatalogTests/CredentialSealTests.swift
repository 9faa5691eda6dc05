import Catalog
import Core
import Testing

@Suite struct CredentialSealTests {
    private func seal(_ character: Character = "p") throws -> CredentialSeal {
        CredentialSeal(pepper: try #require(Pepper(String(repeating: character, count: 32))))
    }

    @Test(arguments: ["sk-secret", "", "é🙂", String(repeating: "x", count: 10_000)])
    func `what was sealed is opened again`(credential: String) throws {
        let sealed = try #require(try seal().seal(credential, provider: "acme"))
        #expect(try seal().open(sealed, provider: "acme") == credential)
    }

    @Test func `another pepper opens nothing`() throws {
        let sealed = try #require(try seal().seal("sk-secret", provider: "acme"))
        #expect(try seal("q").open(sealed, provider: "acme") == nil)
    }

    @Test func `a credential moved to another provider stays shut`() throws {
        let sealed = try #require(try seal().seal("sk-secret", provider: "acme"))
        #expect(try seal().open(sealed, provider: "evil") == nil)
        #expect(try seal().open(sealed, provider: "") == nil)
    }

    @Test func `a changed, shortened or lengthened credential stays shut`() throws {
        let seal = try seal()
        let sealed = try #require(seal.seal("sk-secret", provider: "acme"))
        for index in sealed.indices {
            var changed = sealed
            changed[index] ^= 1
            #expect(seal.open(changed, provider: "acme") == nil, "byte \(index)")
        }
        for length in 0..<sealed.count {
            #expect(seal.open(Array(sealed.prefix(length)), provider: "acme") == nil)
        }
        #expect(seal.open(sealed + [0], provider: "acme") == nil)
    }

    @Test func `the same credential is sealed differently each time, and never shows`() throws {
        let seal = try seal()
        let first = try #require(seal.seal("sk-secret-secret-secret", provider: "acme"))
        let second = try #require(seal.seal("sk-secret-secret-secret", provider: "acme"))
        #expect(first != second)
        #expect(!String(decoding: first, as: UTF8.self).contains("secret"))
    }
}
