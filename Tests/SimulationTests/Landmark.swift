import Core
import Ledger
import Quota
import Settlement

/// Something that must happen in some run, or the runs prove little.
enum Landmark: Int, CaseIterable {
    case lateDeduct
    case missingImage
    case heldAgain
    case refusedBalance
    case lowered
    case refusedQuota
    case droppedImage
    case fencedRow
    case unknownRow
    case epochWaited
    case busyLease
    case lostLease
    case creditGap
    case creditDone
    case refund
    case goneHold
    case settledInOtherPeriod
    case extended
    case extendedInPart
    case extensionRefused
    case extendedAtEnd
    case overrun
    case extensionFenced
    case extensionGone
    case sweptVoid
    case sweptCommit
    case sweptHold
    case tombstone
    case overruled
    case lateWrite
    case rebuildUnderTraffic
    case keyRefused
    case keyTaken
    case keyTakenOver
    case modeEntered
    case modeLeft
    case reservedInLedger
    case refusedInLedger
    case epochTaken
    case ledgerClosed
    case imageClosed
    case otherChange
    case creditTask
    case taskAgain
}

extension Simulation {
    func reach(_ landmark: Landmark) { landmarks[landmark.rawValue] += 1 }

    /// Notes what an effect has come to.
    func noteLandmarks(_ effect: Effect, _ answer: Answer) {
        switch answer {
        case .deduct(.late): reach(.lateDeduct)
        case .deduct(.missing): reach(.missingImage)
        case .deduct(.refused(let refusal)):
            reach(refusal.limit == .balance ? .refusedBalance : .refusedQuota)
        case .lease(.busy): reach(.busyLease)
        case .install(.lost): reach(.lostLease)
        case .install(.installed):
            if redis.holds.contains(where: \.isHeld) { reach(.rebuildUnderTraffic) }
        case .credit(.gap): reach(.creditGap)
        case .credit(.done): reach(.creditDone)
        case .settle(.gone): reach(.goneHold)
        case .extend(.refused): reach(.extensionRefused)
        case .extend(.gone): reach(.extensionGone)
        case .raise(.raised): reach(.extended)
        case .extend(.extended(let taken, _)):
            if case .extendImage(let wanted) = effect, taken.nanodollars < wanted { reach(.extendedInPart) }
        case .raise(.fenced): reach(.extensionFenced)
        case .row(.fenced): reach(.fencedRow)
        case .reserved(.held): reach(.reservedInLedger)
        case .reserved(.refused): reach(.refusedInLedger)
        case .reserved(.closed): reach(.ledgerClosed)
        case .closed: reach(.imageClosed)
        case .otherChange: reach(.otherChange)
        default: break
        }
        if case .bury = effect { reach(.tombstone) }
    }
}
