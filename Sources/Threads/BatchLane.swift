/// Gathers what many threads submit at the same time into batches, each run by one of the waiting threads.
///
/// While one batch runs the next gathers, so a batch is as large as the load makes it and a lone caller waits for nobody. The
/// first thread to arrive leads: it runs the batch, hands every result to its owner, wakes each alone, and passes the lead to
/// the first thread that came meanwhile. Inlinable, so that each use is compiled for its own items.
public final class BatchLane<Item: Sendable, Outcome: Sendable>: Sendable {
    @usableFromInline
    final class Ticket: @unchecked Sendable {
        // `outcome` and `leads` are written by the leading thread before `signal.wake()` and read by the owner after its wait.
        @usableFromInline let item: Item
        @usableFromInline let signal = Signal()
        @usableFromInline var outcome: Outcome?
        @usableFromInline var leads = false

        @inlinable
        init(_ item: Item) {
            self.item = item
        }
    }

    @usableFromInline
    struct State {
        @usableFromInline var waiting: [Ticket] = []
        @usableFromInline var isLed = false

        @inlinable
        init() {}
    }

    @usableFromInline let state = Locked(State())
    @usableFromInline let itemsMax: Int
    @usableFromInline let waitingMax: Int
    @usableFromInline let run: @Sendable ([Item]) -> [Outcome]

    /// Creates a lane.
    ///
    /// - Parameters:
    ///   - itemsMax: The largest batch.
    ///   - waitingMax: How many threads may wait; further ones are refused.
    ///   - run: Runs one batch on a waiting thread and returns one outcome for each item, in their order. Never runs twice at the
    ///     same time. It must be bounded in time, because everybody waits for it.
    @inlinable
    public init(itemsMax: Int, waitingMax: Int, run: @escaping @Sendable ([Item]) -> [Outcome]) {
        precondition(itemsMax > 0 && waitingMax >= 0)
        self.itemsMax = itemsMax
        self.waitingMax = waitingMax
        self.run = run
    }

    /// Submits an item and waits for its outcome; nil when too many are waiting already, and then nothing was done.
    @inlinable
    public func submit(_ item: Item) -> Outcome? {
        let ticket = Ticket(item)
        let leads: Bool? = state.withLock { state in
            guard state.isLed else {
                state.isLed = true
                return true
            }
            guard state.waiting.count < waitingMax else { return nil }
            state.waiting.append(ticket)
            return false
        }
        guard let leads else { return nil }
        if !leads { ticket.signal.wait() }
        if leads || ticket.leads { lead(ticket) }
        return ticket.outcome
    }

    @inlinable
    func lead(_ own: Ticket) {
        let tickets = state.withLock { state in
            let taken = [own] + state.waiting.prefix(itemsMax - 1)
            state.waiting.removeFirst(taken.count - 1)
            return taken
        }
        let outcomes = run(tickets.map { $0.item })
        precondition(outcomes.count == tickets.count, "a batch must return one outcome for each item")
        // First the next batch, whose thread would else have the processor after those that are woken here.
        passLead()
        for (ticket, outcome) in zip(tickets, outcomes) {
            ticket.outcome = outcome
            if ticket !== own { ticket.signal.wake() }
        }
    }

    @inlinable
    func passLead() {
        let successor: Ticket? = state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.isLed = false
                return nil
            }
            return state.waiting.removeFirst()
        }
        if let successor {
            successor.leads = true
            successor.signal.wake()
        }
    }
}
