import FastCGI
import Foundation
import Gateway
import Glibc
import HTTPClient
import Threads

/// tollgated on its socket, and nginx in front of it.
struct ServerChecks {
    private let place: DoctorPlace
    private static let patienceSeconds = 5

    init(_ place: DoctorPlace) {
        self.place = place
    }

    func findings() -> [Finding] { [responder(), publicServer(), adminServer()] }

    private func responder() -> Finding {
        let path = place.socketPath
        let outcome = ResponderProbe.get(
            "/readyz", socketPath: path,
            parameters: [(Route.Listener.parameterName, Route.Listener.adminServer.rawValue)],
            until: .after(seconds: Self.patienceSeconds))
        switch outcome {
        case .answered(status: 200, _): return .ok("tollgated", "ready at \(path)")
        case .answered(_, let body):
            return .fail("tollgated", "not ready: \(body.prefix(500))", "mend what it names")
        case .silent:
            return .fail(
                "tollgated", "does not answer at \(path)", "look at 'journalctl -u tollgated', or restart it")
        case .notConnected(let code) where code == EACCES:
            return .warn("tollgated", "we may not connect to \(path)", "run this as root")
        case .notConnected(let code):
            return .fail(
                "tollgated", "no connection to \(path): \(String(cString: strerror(code)))",
                "systemctl start tollgated.socket tollgated@1.service; TOLLGATE_SOCKET names another place")
        }
    }

    private func publicServer() -> Finding {
        guard let url = place.url else {
            return .warn("nginx", "its public address is not known", "give --url, or set TOLLGATE_URL")
        }
        return server("nginx", url)
    }

    private func adminServer() -> Finding { server("nginx admin", place.adminURL) }

    private func server(_ name: String, _ url: String) -> Finding {
        let milliseconds = Self.patienceSeconds * 1_000
        let timeouts = HTTPTimeouts(
            connectMilliseconds: milliseconds, firstByteMilliseconds: milliseconds,
            gapMilliseconds: milliseconds,
            totalMilliseconds: milliseconds)
        do throws(HTTPClientError) {
            let request = HTTPRequest(method: "GET", url: url + "/healthz")
            let status = try HTTPTransport().start(request, timeouts: timeouts, allowsPrivateAddresses: true)
                .status
            guard status == 200 else {
                return .fail(
                    name, "\(url)/healthz answers \(status)",
                    status == 502 || status == 503 || status == 504
                        ? "start tollgated; nginx must reach its socket"
                        : "nginx/README.md says how it is set up")
            }
            return .ok(name, "answers at \(url)")
        } catch {
            return .fail(name, "\(url) does not answer: \(error)", "start nginx; nginx/README.md says how")
        }
    }
}
