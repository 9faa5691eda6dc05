import Testing

@testable import Gateway

@Suite struct QueryParametersTests {
    @Test func `names and values are decoded`() throws {
        let query = try #require(QueryParameters("limit=10&after=a%2Bb+c&flag&empty=&na%6De=%C3%A9&eq=a=b"))
        #expect(query["limit"] == "10")
        #expect(query["after"] == "a+b c")
        #expect(query["flag"] == "")
        #expect(query["empty"] == "")
        #expect(query["name"] == "é")
        #expect(query["eq"] == "a=b")
        #expect(query["missing"] == nil)
    }

    @Test(arguments: ["", "&", "&&"])
    func `no parameters are fine`(text: String) throws {
        let query = try #require(QueryParameters(text))
        #expect(query.contains(only: []))
    }

    @Test(arguments: [
        "a=%", "a=%4", "a=%zz", "a=%4g", "a=%+f", "a=%-1", "a=% 1", "a=%%%%", "a=%C3", "a=%FF%FE",
        "a=%ED%A0%80", "%=1", "a=%00", "a=b%00c",
    ])
    func `what cannot be decoded is refused`(text: String) {
        #expect(QueryParameters(text) == nil)
    }

    @Test(arguments: ["a=1&a=2", "a=1&a=1", "a&a", "a=1&%61=2"])
    func `a parameter given twice is refused`(text: String) {
        #expect(QueryParameters(text) == nil)
    }

    @Test func `names that are not expected are told`() throws {
        let query = try #require(QueryParameters("a=1&b=2"))
        #expect(query.contains(only: ["a", "b", "c"]))
        #expect(!query.contains(only: ["a"]))
        #expect(!query.contains(only: []))
    }
}
