import Core
import Testing

@Suite struct NamesTests {
    private static let refused = [
        "", "A", "acmE", "-a", ".a", "_a", "a b", "a}", "{a", "a:b", "a/b", "a\n", "a\u{0}", "ä", "a'", "a%",
        String(repeating: "a", count: 64),
    ]

    @Test(arguments: ["a", "0", "acme", "acme-2.eu_west", String(repeating: "a", count: 63)])
    func `a lower-case name is a tenant's`(text: String) {
        #expect(TenantID(text)?.description == text)
    }

    @Test(arguments: refused)
    func `what could break a Redis key is no tenant's name`(text: String) {
        #expect(TenantID(text) == nil)
        #expect(!Names.isName(text, lengthMax: 63))
    }

    @Test func `a key's name has letters and digits only`() {
        for text in ["a", "Z9", String(repeating: "x", count: 63)] {
            #expect(APIKeyID(text)?.description == text)
        }
        for text in ["", "a_b", "a-b", "a b", "é", "a\u{0}", "a|b", String(repeating: "x", count: 64)] {
            #expect(APIKeyID(text) == nil, "\(text)")
        }
    }

    @Test func `a model's name is printable, without blanks, quotes and backslashes`() {
        for text in [
            "gpt-4o", "org/model:free@2", "~!#$%^&*()+={}[]|;<>,.?", String(repeating: "m", count: 256),
        ] {
            #expect(Names.isModelName(text), "\(text)")
        }
        for text in [
            "", "a b", "a\"b", "a\\b", "a\tb", "modèle", "a\u{7F}", String(repeating: "m", count: 257),
        ] {
            #expect(!Names.isModelName(text), "\(text)")
        }
    }

    @Test func `a pepper of fewer than 32 characters is none, and its last line break does not count`() {
        let secret = String(repeating: "s", count: 32)
        #expect(Pepper(secret)?.bytes == Array(secret.utf8))
        #expect(Pepper(secret + "\r\n")?.bytes == Array(secret.utf8))
        for text in [
            "", String(secret.dropLast()), secret.dropLast() + "\n", String(repeating: " ", count: 64),
        ] {
            #expect(Pepper(String(text)) == nil)
        }
    }
}
