internal import Base
internal import Gateway

/// What comes into a session, from all sides.
enum SessionInput: Sendable {
    case bytes([UInt8])
    case event(BridgeEvent, number: Int64?, AccountID, generation: Int64)
    case attached(AccountID, generation: Int64, isNew: Bool?)
    case posted(token: Int64, Result<MessageKey, GatewayError>)
    /// How they stand after a change; nil when it was refused.
    case contacted(AccountID, AccountID, ContactState??)
    case time
}

/// The one queue in front of a session.
final class SessionQueue: Sendable {
    /// Events of streams that wait; more are refused, and their streams end.
    static let eventsLimit = 10_000
    /// With more than this waiting, or not yet sent, a stream that is replayed holds back.
    static let easyEvents = 500
    static let easyBytes = 1 << 20

    private struct State {
        var inputs: [SessionInput] = []
        var events = 0
        var waiter: CheckedContinuation<Void, Never>?
        var rooms: [CheckedContinuation<Void, Never>] = []
        var isClosed = false
    }

    private let state = Locked(State())
    private let output: SessionOutput

    init(output: SessionOutput) { self.output = output }

    func put(_ input: SessionInput) {
        state.withLock { state in
            state.inputs.append(input)
            defer { state.waiter = nil }
            return state.waiter
        }?.resume()
    }

    /// Takes an event of a stream; false when there is no room.
    func putEvent(_ input: SessionInput, isEnd: Bool) -> Bool {
        let (isTaken, waiter) = state.withLock { state -> (Bool, CheckedContinuation<Void, Never>?) in
            guard isEnd || state.events < Self.eventsLimit else { return (false, nil) }
            state.inputs.append(input)
            state.events += 1
            defer { state.waiter = nil }
            return (true, state.waiter)
        }
        waiter?.resume()
        return isTaken
    }

    /// Waits for input and takes all of it; empty when the task was cancelled.
    func next() async -> [SessionInput] {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if !state.inputs.isEmpty || state.isClosed || Task.isCancelled { return true }
                    state.waiter = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            state.withLock { state in
                state.isClosed = true
                defer { state.waiter = nil }
                return state.waiter
            }?.resume()
        }
        return state.withLock { state in
            defer { (state.inputs, state.events) = ([], 0) }
            return state.inputs
        }
    }

    /// Returns when streams may go on.
    func drained() async {
        await withCheckedContinuation { continuation in
            let isReady = state.withLock { state in
                if state.isClosed || (state.events <= Self.easyEvents && output.count <= Self.easyBytes) { return true }
                state.rooms.append(continuation)
                return false
            }
            if isReady { continuation.resume() }
        }
    }

    /// Something was worked off or sent.
    func easeOff() {
        let isEasy = output.count <= Self.easyBytes
        let rooms = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            guard state.isClosed || (isEasy && state.events <= Self.easyEvents) else { return [] }
            defer { state.rooms = [] }
            return state.rooms
        }
        for room in rooms { room.resume() }
    }

    /// Nobody reads any more.
    func close() {
        state.withLock { $0.isClosed = true }
        easeOff()
    }
}

/// Bytes that wait to be sent.
final class SessionOutput: Sendable {
    /// A server that lets more than this wait takes nothing any more.
    static let limit = 16 << 20

    private struct State {
        var bytes: [UInt8] = []
        var underWay = 0
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Locked(State())

    /// Bytes not sent yet.
    var count: Int { state.withLock { $0.bytes.count + $0.underWay } }

    /// False when there is no room.
    func put(_ bytes: [UInt8]) -> Bool {
        guard !bytes.isEmpty else { return true }
        let (isTaken, waiter) = state.withLock { state -> (Bool, CheckedContinuation<Void, Never>?) in
            guard state.bytes.count + state.underWay + bytes.count <= Self.limit else { return (false, nil) }
            state.bytes += bytes
            defer { state.waiter = nil }
            return (true, state.waiter)
        }
        waiter?.resume()
        return isTaken
    }

    /// What was taken last has been sent; waits for more and takes it. Empty when the task was cancelled.
    func next() async -> [UInt8] {
        state.withLock { $0.underWay = 0 }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if !state.bytes.isEmpty || Task.isCancelled { return true }
                    state.waiter = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            state.withLock { state in
                defer { state.waiter = nil }
                return state.waiter
            }?.resume()
        }
        if Task.isCancelled { return [] }
        return state.withLock { state in
            defer { state.bytes = [] }
            state.underWay = state.bytes.count
            return state.bytes
        }
    }
}

/// The inbox of one opening of an account's stream.
final class AccountInbox: BridgeInbox {
    private let queue: SessionQueue
    private let generation: Int64

    init(_ queue: SessionQueue, generation: Int64) { (self.queue, self.generation) = (queue, generation) }

    func take(_ event: BridgeEvent, number: Int64?, for account: AccountID) -> Bool {
        queue.putEvent(.event(event, number: number, account, generation: generation), isEnd: number == nil)
    }

    func drained() async { await queue.drained() }
}
