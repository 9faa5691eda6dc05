import Core
import Foundation
import Gateway
import Glibc
import Ledger
import Quota
import TestSupport
import TestTools
import Testing
import Threads

/// The gateway of all tests that need nothing of their own but a tenant.
///
/// Its keep-alives come after a second of silence.
enum EndpointsGateway {
    private static let current = Locked<TestGateway?>(nil)

    /// The gateway, started when the first test asks.
    static func shared() throws -> TestGateway {
        // Held while it starts, because the others have to wait for it.
        try current.withLock { current in
            if let current { return current }
            let gateway = try TestGateway(environment: ["TOLLGATE_KEEP_ALIVE_SECONDS": "1"])
            current = gateway
            atexit { EndpointsGateway.current.withLock { $0 = nil } }
            return gateway
        }
    }
}

/// A tenant of a test's own, with an API key.
struct EndpointsCaller {
    let gateway: TestGateway
    let tenant: TenantID
    let key: String
    private let credit: Money

    /// Creates the tenant; its name begins with the label.
    init(
        _ label: String, at gateway: TestGateway, balance: String = "10", allowedModels: [String]? = nil
    ) throws {
        self.gateway = gateway
        credit = try #require(Money(decimal: balance))
        let name = "\(label)-\(UInt32.random(in: .min ... .max))"
        tenant = try gateway.stores.makeTenant(name, balance: balance)
        key = try gateway.stores.makeKey(tenant, allowedModels: allowedModels)
    }

    /// The `messages` of every request that the test does not write itself: four words.
    static let messages = #"[{"role":"user","content":"How are you today?"}]"#

    /// The tokens of those messages as they are estimated when no provider counts them: one for four bytes.
    static let estimatedInput = Int64((messages.utf8.count + 3) / 4)

    /// The body of a chat request.
    static func body(_ model: String, _ members: String = "") -> String {
        #"{"model":"\#(model)","messages":\#(messages)"# + (members.isEmpty ? "}" : ",\(members)}")
    }

    /// Asks for a plain completion.
    func chat(_ model: String, _ members: String = "") throws -> TestHTTP.Answer {
        try TestHTTP.post(
            gateway.url + "/v1/chat/completions", key: key, EndpointsCaller.body(model, members))
    }

    // MARK: - Books

    /// This tenant's billing transactions, the newest first.
    func rows() throws -> [ListedTransaction] {
        try LedgerReader.transactions(
            gateway.stores.money.database, of: tenant, before: nil, status: nil, countMax: 1_000)
    }

    /// The one billing transaction of this tenant.
    func onlyRow(sourceLocation: SourceLocation = #_sourceLocation) throws -> ListedTransaction {
        let rows = try rows()
        try #require(rows.count == 1, sourceLocation: sourceLocation)
        return rows[0]
    }

    /// The one billing transaction once it is settled, in Redis too.
    func settledRow(sourceLocation: SourceLocation = #_sourceLocation) throws -> ListedTransaction {
        let isSettled = try Eventually.holds {
            let books = try gateway.stores.books(tenant)
            return books.ledger.pending == 0 && books.ledger.committed + books.ledger.voided > 0
                && books.image?.holds.isEmpty == true
        }
        #expect(isSettled, "the transaction is still running", sourceLocation: sourceLocation)
        try gateway.stores.expectExactBooks(tenant, sourceLocation: sourceLocation)
        return try onlyRow(sourceLocation: sourceLocation)
    }

    /// The calls that the provider logged for these transactions.
    func providerCalls(of rows: [ListedTransaction]) throws -> [TestProviderCall] {
        let traces = Set(rows.map(\.trace))
        return try gateway.providerCalls().filter { $0.trace.map { traces.contains($0) } ?? false }
    }

    /// Checks that so many requests were charged, each what one call in the provider's log costs, and that Redis and the ledger
    /// both show the balance that is left.
    @discardableResult
    func expectExactCharges(
        requests count: Int, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> [ListedTransaction] {
        let rows = try rows()
        #expect(rows.count == count, sourceLocation: sourceLocation)
        let calls = try providerCalls(of: rows)
        #expect(calls.count == count, sourceLocation: sourceLocation)
        let costs = Dictionary(calls.map { ($0.trace ?? "", $0.cost) }, uniquingKeysWith: +)
        var total = Money.zero
        for row in rows {
            #expect(row.status == "committed", sourceLocation: sourceLocation)
            #expect(row.usageSource == "provider", sourceLocation: sourceLocation)
            #expect(row.charge == costs[row.trace], sourceLocation: sourceLocation)
            total = total + row.charge
        }
        try expectBooks(charged: total, sourceLocation: sourceLocation)
        return rows
    }

    /// Checks the balance in both books, with nothing held.
    func expectBooks(charged: Money, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let books = try gateway.stores.books(tenant)
        #expect(books.ledger.charged == charged, sourceLocation: sourceLocation)
        #expect(books.ledger.pending == 0, sourceLocation: sourceLocation)
        #expect(books.ledger.balance == credit - charged, sourceLocation: sourceLocation)
        try gateway.stores.expectExactBooks(tenant, sourceLocation: sourceLocation)
    }

    /// Checks that no request of this tenant got as far as taking money.
    func expectUntouched(sourceLocation: SourceLocation = #_sourceLocation) throws {
        let books = try gateway.stores.books(tenant)
        #expect(books.ledger.credited == credit, sourceLocation: sourceLocation)
        let count = books.ledger.committed + books.ledger.pending + books.ledger.voided
        #expect(count == 0, "a transaction was written", sourceLocation: sourceLocation)
        // An image stands since the first credit; without one no money can have been taken.
        guard let image = books.image else { return }
        #expect(image.balance == credit, sourceLocation: sourceLocation)
        #expect(image.version == 0, "a hold was taken", sourceLocation: sourceLocation)
        #expect(image.holds.isEmpty, sourceLocation: sourceLocation)
    }
}

/// An error answer as the API has it.
struct EndpointsError {
    let type: String
    let code: String?
    let param: String?
    let message: String

    /// Reads a body; fails unless it has exactly the members of an OpenAI error.
    init(_ body: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let object = try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any]
        let root = try #require(object, "no object: \(body.prefix(200))", sourceLocation: sourceLocation)
        #expect(Set(root.keys) == ["error"], sourceLocation: sourceLocation)
        let error = try #require(root["error"] as? [String: Any], sourceLocation: sourceLocation)
        #expect(Set(error.keys) == ["message", "type", "param", "code"], sourceLocation: sourceLocation)
        message = try #require(error["message"] as? String, sourceLocation: sourceLocation)
        type = try #require(error["type"] as? String, sourceLocation: sourceLocation)
        code = error["code"] as? String
        param = error["param"] as? String
        #expect(!message.isEmpty && !message.contains("Optional("), sourceLocation: sourceLocation)
    }
}
