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

    /// A batch in the hands of the thread that leads it, which is the owner of the first item.
    public struct Batch: ~Copyable {
        @usableFromInline let lane: BatchLane
        @usableFromInline let tickets: [Ticket]
        @usableFromInline var leads = true

        @inlinable
        init(lane: BatchLane, tickets: [Ticket]) {
            self.lane = lane
            self.tickets = tickets
        }

        /// How many items it has; one at least.
        @inlinable public var count: Int { tickets.count }

        /// An item, counted from 0 in the order of their arrival.
        @inlinable
        public subscript(index: Int) -> Item { tickets[index].item }

        /// Gives an item its outcome: its owner goes on at once.
        @inlinable
        public func answer(_ index: Int, _ outcome: Outcome) {
            let ticket = tickets[index]
            ticket.outcome = outcome
            if index > 0 { ticket.signal.wake() }
        }

        /// Lets the next batch begin while the rest of this one is done.
        ///
        /// Best before the owners are woken, who would else have the processor first.
        @inlinable
        public mutating func passLead() {
            guard leads else { return }
            leads = false
            lane.passLead()
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
    @usableFromInline let run: @Sendable (inout Batch) -> Void

    /// Creates a lane.
    ///
    /// - Parameters:
    ///   - itemsMax: The largest batch.
    ///   - waitingMax: How many threads may wait; further ones are refused.
    ///   - run: Runs one batch on a waiting thread and answers each of its items. Runs a second time at once only when the first has
    ///     passed the lead. It must be bounded in time, because everybody waits for it.
    @inlinable
    public init(itemsMax: Int, waitingMax: Int, answering run: @escaping @Sendable (inout Batch) -> Void) {
        precondition(itemsMax > 0 && waitingMax >= 0)
        self.itemsMax = itemsMax
        self.waitingMax = waitingMax
        self.run = run
    }

    /// Creates a lane whose batches are answered all at once.
    ///
    /// - Parameter run: Returns one outcome for each item, in their order. Never runs twice at the same time.
    @inlinable
    public convenience init(
        itemsMax: Int, waitingMax: Int, run: @escaping @Sendable ([Item]) -> [Outcome]
    ) {
        self.init(itemsMax: itemsMax, waitingMax: waitingMax) { batch in
            let outcomes = run(batch.tickets.map { $0.item })
            precondition(outcomes.count == batch.count, "a batch must return one outcome for each item")
            batch.passLead()
            for index in 0..<batch.count { batch.answer(index, outcomes[index]) }
        }
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
        precondition(ticket.outcome != nil, "a batch must answer each of its items")
        return ticket.outcome
    }

    @inlinable
    func lead(_ own: Ticket) {
        let tickets = state.withLock { state in
            let taken = [own] + state.waiting.prefix(itemsMax - 1)
            state.waiting.removeFirst(taken.count - 1)
            return taken
        }
        var batch = Batch(lane: self, tickets: tickets)
        run(&batch)
        batch.passLead()
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
