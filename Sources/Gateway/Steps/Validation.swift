package import Dialects
import FastCGI

/// Reads the body, bounds it, and makes sure that everything about it can be priced.
package struct Validation: Step {
    package static let name: StepName = "validation"
    package static var dependsOn: [any Step.Type] { [] }

    private let bodyBytesMax: Int
    private let limits: ChatRequest.Limits

    package init(bodyBytesMax: Int, limits: ChatRequest.Limits = ChatRequest.Limits()) {
        self.bodyBytesMax = bodyBytesMax
        self.limits = limits
    }

    package func execute(_ context: inout WorkflowContext) throws(GatewayError) {
        let body = try readBody(context.exchange)
        if !body.isEmpty { try checkHeaders(context.exchange) }
        do throws(DialectError) {
            context.validation = ValidationSection(request: try ChatRequest(body, limits: limits))
        } catch {
            throw GatewayError(error)
        }
    }

    /// The body is read before anything is refused: what is left unread would be taken for the next request.
    private func readBody(_ exchange: Exchange) throws(GatewayError) -> [UInt8] {
        do throws(ExchangeError) {
            return try exchange.readBody(bytesMax: bodyBytesMax)
        } catch {
            throw GatewayError(error, bodyBytesMax: bodyBytesMax)
        }
    }

    private func checkHeaders(_ exchange: Exchange) throws(GatewayError) {
        if let encoding = exchange.parameter("HTTP_CONTENT_ENCODING"), encoding != "", encoding != "identity"
        {
            throw .unsupportedContentEncoding
        }
        let type = exchange.parameter("CONTENT_TYPE") ?? ""
        guard type != "application/json" else { return }
        // What stands behind the name, such as the characters' encoding, makes no difference to JSON.
        let media = type.utf8.prefix {
            $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t")
        }
        guard Substring(media).lowercased() == "application/json" else { throw .unsupportedContentType }
    }
}
