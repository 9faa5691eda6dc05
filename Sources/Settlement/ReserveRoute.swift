package import Ledger

/// The decisions about where one reservation is made: on which side, and when to ask the ledger which side that is.
///
/// It does nothing itself. Whichever side it tries, the ledger's epochs decide whether what was reserved there is accepted; it only
/// finds out where a process that has not heard of a change is expected.
package struct ReserveRoute: Sendable {
    /// What is to be done next.
    package enum Action: Sendable {
        /// Reserve in the image.
        case useImage
        /// Reserve in the ledger.
        case useLedger
        /// Read the mode from the ledger.
        case readMode
        /// It cannot be made.
        case fail(SettlementError)
    }

    /// What came of the last action.
    package enum Event: Sendable {
        case begin(ReserveSide)
        /// Reservations are made in the ledger: no image may be rebuilt.
        case imageClosed
        /// Reservations are made in images.
        case ledgerClosed
        /// The mode; nil when the ledger could not be read.
        case modeRead(InstallationMode?)
    }

    private var roundsLeft: Int

    /// Creates the route of one reservation.
    ///
    /// - Parameter roundsMax: How often the mode is read before giving up.
    package init(roundsMax: Int = 3) {
        roundsLeft = roundsMax
    }

    /// The action after an event.
    package mutating func next(after event: Event) -> Action {
        switch event {
        case .begin(.image): return .useImage
        case .begin(.ledger): return .useLedger
        case .begin(.nowhere): return .fail(.unavailable("Redis is lost, and is being given up"))
        case .imageClosed, .ledgerClosed:
            guard roundsLeft > 0 else { return .fail(.unavailable("the installation's mode kept changing")) }
            roundsLeft -= 1
            return .readMode
        case .modeRead(let mode):
            guard let mode else { return .fail(.unavailable("the ledger could not be read")) }
            return mode.isDatabase ? .useLedger : .useImage
        }
    }
}
