internal import Base

// What is there: read under the lock, changed by nobody here.
extension Mailroom {
    package func address(of queue: Int64) -> QueueAddress? { keeper.read { $0.queues[queue]?.address } }
    package func number(of address: QueueAddress) -> Int64? { keeper.read { $0.numbers[address] } }
    /// Whether the message is neither settled nor dead.
    package func isOpen(_ key: MessageKey) -> Bool {
        keeper.read { $0.queues[key.queue]?.machine.contains(key.seq) ?? false }
    }
    /// What the queue holds of a message; nil when it is settled or unknown.
    package func state(of key: MessageKey) -> Message.State? {
        keeper.read { $0.queues[key.queue]?.machine.state(of: key.seq) }
    }
    /// Open messages in a queue: an account's is its badge.
    package func openCount(_ address: QueueAddress) -> Int {
        keeper.read { state in state.numbers[address].flatMap { state.queues[$0]?.openCount } ?? 0 }
    }
    /// The highest number passed to an account's streams.
    package func published(_ account: AccountID) -> Int64 {
        keeper.read { state in state.numbers[.account(account)].flatMap { state.queues[$0]?.published } ?? 0 }
    }
    /// The highest number handed out in a queue's series; 0 for one that is empty or unknown.
    package func lastNumber(_ address: QueueAddress) -> Int64 {
        keeper.read { state in
            guard let queue = state.numbers[address].flatMap({ state.queues[$0] }) else { return 0 }
            return (state.queues[queue.series]?.next ?? 1) - 1
        }
    }
    /// The queues that a device's stream is made of.
    package func streamQueues(account: AccountID, device: DeviceID) -> [Int64] {
        keeper.read { state in
            [state.numbers[.account(account)], state.numbers[.device(device)]].compactMap { $0 }
        }
    }

    /// A queue as operators see it.
    package struct Summary: Sendable, Hashable {
        package let number: Int64
        package let address: QueueAddress
        package let open: Int
        package let locked: Int
        package let dead: Int
        package let waiting: Int
    }

    /// All queues by number.
    package func all() -> [Summary] {
        keeper.read { state in
            state.queues.values.map {
                Summary(
                    number: $0.number, address: $0.address, open: $0.machine.openCount, locked: $0.machine.lockedCount,
                    dead: $0.machine.dead, waiting: $0.machine.waitingCount)
            }.sorted { $0.number < $1.number }
        }
    }
    package var openTotal: Int { totals.open }
    /// Open, locked and dead messages of all queues.
    package var totals: (open: Int, locked: Int, dead: Int) {
        keeper.read { state in
            state.queues.values.reduce(into: (open: 0, locked: 0, dead: 0)) { sum, queue in
                sum.open += queue.machine.openCount
                sum.locked += queue.machine.lockedCount
                sum.dead += queue.machine.dead
            }
        }
    }
}
