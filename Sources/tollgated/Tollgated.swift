import FastCGI
import Foundation
import Gateway
import Glibc
import Logging
import Observability
import Threads

/// The responder: serves FastCGI requests from nginx, or one plain CGI request.
@main
enum Tollgated {
    static func main() {
        do throws(ConfigurationError) {
            let configuration = try Configuration(environment: ProcessInfo.processInfo.environment)
            let registry = PrometheusRegistry()
            let logger = Logger(label: "tollgated") { label in
                JSONLogHandler(label: label, logLevel: configuration.logLevel)
            }
            if CGI.isCGI {
                serveCGI(configuration, registry, logger)
            } else {
                AllocatorSettings.apply()
                serve(configuration, registry, logger)
            }
        } catch {
            stop("the settings cannot be used:\n\(error)")
        }
    }

    private static func serve(
        _ configuration: Configuration, _ registry: PrometheusRegistry, _ logger: Logger
    ) {
        let control = Control()
        do {
            // Before any other thread starts, so that all of them leave signals to this one.
            try SignalThread.start { control.receive($0) }
            DescriptorLimit.raise()
            let listening = try sockets(configuration)
            let responder = try Responder(
                configuration, listening: listening, metrics: registry, logger: logger)
            control.attach(responder)
            responder.run()
        } catch {
            stop("\(error)")
        }
    }

    /// Answers the one request of a CGI process.
    private static func serveCGI(
        _ configuration: Configuration, _ registry: PrometheusRegistry, _ logger: Logger
    ) {
        let services = Services(configuration, metrics: registry, logger: logger)
        do throws(StepOrderError) {
            let endpoints = try Endpoints(services) { registry.text() }
            CGI.serve { endpoints.serve($0) }
        } catch {
            stop("\(error)")
        }
    }

    /// The sockets that systemd passes, or one of our own.
    private static func sockets(_ configuration: Configuration) throws -> [Int32] {
        let inherited = UnixListener.inherited()
        guard inherited.isEmpty else { return inherited }
        guard let path = configuration.socketPath else {
            throw ConfigurationError(mistakes: [
                "TOLLGATE_SOCKET is not set: the path of the FastCGI socket to make, unless systemd passes one"
            ])
        }
        var group: gid_t?
        if let name = configuration.socketGroup {
            guard let entry = getgrnam(name) else {
                throw ConfigurationError(mistakes: ["TOLLGATE_SOCKET_GROUP: there is no group '\(name)'"])
            }
            group = entry.pointee.gr_gid
        }
        return [try UnixListener.open(path: path, mode: 0o660, group: group)]
    }

    private static func stop(_ reason: String) -> Never {
        FileHandle.standardError.write(Data("tollgated: cannot start: \(reason)\n".utf8))
        exit(1)
    }
}
