import Core
import Crypto
import Dialects
import FastCGI
import Ledger
package import Settlement

/// Finds out whether a request with an `Idempotency-Key` has been sent before, and what became of it then.
///
/// A request without one costs nothing here. One that has its answer already is given that, and no further step runs; one that may
/// run takes its claim to `quota_check`, where the ledger decides whose it is.
package struct Idempotency: Step {
    package static let name: StepName = "idempotency"
    package static var dependsOn: [any Step.Type] { [ExternalAuth.self, Validation.self] }

    private static let keyBytesMax = 255
    private let claims: IdempotencyClaims
    private let route: StaticString

    /// Creates the step.
    ///
    /// - Parameter route: What is asked for at this endpoint: a key used at another stands for something else.
    package init(claims: IdempotencyClaims, route: StaticString) {
        self.claims = claims
        self.route = route
    }

    package func execute(_ context: inout WorkflowContext) throws(GatewayError) {
        guard let key = try Idempotency.key(of: context.exchange) else {
            context.idempotency = IdempotencySection()
            return
        }
        let claim = IdempotencyClaim(key: key, bodyHash: hash(context.validation.request.body))
        let caller = context.externalAuth.caller
        let decision: ClaimDecision
        do throws(SettlementError) {
            decision = try claims.decision(on: claim, of: caller.tenant.id, key: caller.key.id)
        } catch {
            throw GatewayError(error)
        }
        switch decision {
        case .run: context.idempotency = IdempotencySection(claim: claim)
        case .replay(let answer, let trace):
            context.idempotency = IdempotencySection(
                claim: claim, replayed: ReplayedAnswer(answer, of: trace))
        case .refuse(let refusal): throw GatewayError(refusal)
        }
    }

    /// The key that the client sent; nil for none.
    private static func key(of exchange: Exchange) throws(GatewayError) -> String? {
        let values = exchange.parameters("HTTP_IDEMPOTENCY_KEY")
        guard let key = values.first else { return nil }
        // Bytes that are no UTF-8 have become a character beyond ASCII.
        guard values.count == 1, (1...keyBytesMax).contains(key.utf8.count),
            key.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
        else { throw .invalidIdempotencyKey }
        return key
    }

    private func hash(_ body: [UInt8]) -> [UInt8] {
        var hash = SHA256()
        route.withUTF8Buffer { hash.update(bufferPointer: UnsafeRawBufferPointer($0)) }
        body.withUnsafeBytes { hash.update(bufferPointer: $0) }
        return Array(hash.finalize())
    }
}
