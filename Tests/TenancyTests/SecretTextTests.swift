import Core
import Foundation
import Tenancy
import Testing

@Suite struct SecretTextTests {
    private static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

    private func pepper(_ character: Character = "p") throws -> Pepper {
        try #require(Pepper(String(repeating: character, count: 32)))
    }

    @Test(arguments: [SecretText.Kind.apiKey, .adminToken])
    func `a new secret has the documented form, and is read back as itself`(kind: SecretText.Kind) throws {
        let secret = SecretText.make(kind)
        let parts = secret.text.split(separator: "_", omittingEmptySubsequences: false)
        #expect(parts.count == 3)
        #expect(parts[0] == kind.rawValue)
        #expect(String(parts[1]) == secret.id)
        #expect(APIKeyID(secret.id) != nil)
        #expect(SecretText(secret.text, kind: kind) == secret)
    }

    @Test func `a secret has 160 random bits and more beside its checksum`() throws {
        let checksumLength = 6
        var counts: [Character: Int] = [:]
        var seen: Set<Substring> = []
        var length = 0
        for _ in 0..<5_000 {
            let last = try #require(SecretText.make(.apiKey).text.split(separator: "_").last)
            let secret = last.dropLast(checksumLength)
            length = secret.count
            seen.insert(secret)
            for character in secret { counts[character, default: 0] += 1 }
        }
        #expect(Double(length) * log2(Double(Self.alphabet.count)) >= 160)
        #expect(seen.count == 5_000)
        // Every character is as likely as any other: nine standard deviations lie within 20 %.
        let expected = 5_000 * length / Self.alphabet.count
        #expect(Set(counts.keys) == Set(Self.alphabet))
        #expect(counts.values.allSatisfy { abs($0 - expected) < expected / 5 })
    }

    @Test func `the checksum refuses any single changed character`() {
        let secret = SecretText.make(.apiKey)
        let text = Array(secret.text)
        for position in text.indices {
            for replacement in Self.alphabet + ["_", " ", "é", "\u{0}"] where replacement != text[position] {
                var changed = text
                changed[position] = replacement
                #expect(SecretText(String(changed), kind: .apiKey) == nil, "position \(position)")
            }
        }
    }

    @Test func `two characters that changed places are refused, and so is a text cut short or drawn out`() {
        let text = SecretText.make(.apiKey).text
        var characters = Array(text)
        for position in characters.indices.dropLast() where characters[position] != characters[position + 1] {
            characters.swapAt(position, position + 1)
            #expect(SecretText(String(characters), kind: .apiKey) == nil)
            characters.swapAt(position, position + 1)
        }
        for length in 0..<text.count {
            #expect(SecretText(String(text.prefix(length)), kind: .apiKey) == nil)
        }
        for extended in [text + "A", " " + text, text + "\n", text + "\u{0}", text + text] {
            #expect(SecretText(extended, kind: .apiKey) == nil)
        }
    }

    @Test func `a secret of one kind is none of the other`() {
        let key = SecretText.make(.apiKey)
        let token = SecretText.make(.adminToken)
        #expect(SecretText(key.text, kind: .adminToken) == nil)
        #expect(SecretText(token.text, kind: .apiKey) == nil)
        #expect(SecretText("tga" + key.text.dropFirst(2), kind: .adminToken) == nil)
        #expect(SecretText("tg" + token.text.dropFirst(3), kind: .apiKey) == nil)
    }

    @Test func `only the same text under the same pepper matches what is stored`() throws {
        let secret = SecretText.make(.apiKey)
        let hasher = SecretHasher(try pepper())
        let stored = hasher.hash(secret)
        #expect(stored.count == 32)
        #expect(hasher.matches(stored, secret))
        #expect(!SecretHasher(try pepper("q")).matches(stored, secret))
        #expect(!hasher.matches(stored, SecretText.make(.apiKey)))
        #expect(!hasher.matches([], secret))
        #expect(!hasher.matches(Array(stored.dropLast()), secret))
        #expect(!secret.text.utf8.elementsEqual(stored))
    }
}
