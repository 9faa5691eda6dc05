import FastCGI
import Gateway
import Threads

/// What signals do: SIGTERM and SIGINT drain, SIGHUP reads the catalogue anew.
///
/// A signal that comes before there is a responder waits.
final class Control: Sendable {
    private struct State {
        var responder: Responder?
        var wasStopped = false
    }

    private let state = Locked(State())

    func attach(_ responder: Responder) {
        let stopNow = state.withLock { state in
            state.responder = responder
            return state.wasStopped
        }
        if stopNow { responder.stop() }
    }

    func receive(_ signal: ProcessSignal) {
        let responder = state.withLock { state in
            if signal != .hangUp { state.wasStopped = true }
            return state.responder
        }
        switch signal {
        case .terminate, .interrupt: responder?.stop()
        case .hangUp: responder?.reload()
        }
    }
}
