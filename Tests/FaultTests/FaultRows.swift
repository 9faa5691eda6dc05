import Testing

/// The rows of the fault matrix: a fault under load against real servers, and the books to the nano-dollar afterwards.
///
/// One after the other: each takes all that the machine has. `TOLLGATE_TEST_FAULTS=full` makes them longer and larger.
@Suite(.serialized) enum FaultRows {}
