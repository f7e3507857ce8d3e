internal import Base
internal import CMicroHTTPD

/// What is between a responder and its connection.
///
/// The handler's `start` runs before the connection is suspended: an answer that is there when it returns
/// goes out at once, and neither the library nor another thread is troubled.
final class PendingAnswer: Sendable {
    /// What the answer goes to.
    protocol Destination: Sendable {
        var isPeerGone: Bool { get }
        /// Puts the connection to sleep. Called on the connection's thread, under the lock.
        func suspend()
        /// Wakes the sleeping connection with the answer.
        func resume(_ response: InboundResponse)
        /// The last call: the answer is on its way.
        func release()
        /// Begins to watch for the connection's end. Called under the lock.
        func watch(_ pending: PendingAnswer) -> UInt64?
        func unwatch(_ id: UInt64)
        /// Tells the log of a fault in the handler.
        func complain(_ fault: StaticString)
    }

    private enum Phase: Sendable {
        /// `start` runs.
        case starting
        case suspended
        case answered
    }

    private struct State {
        var phase = Phase.starting
        /// The answer that came before the connection was suspended.
        var early: InboundResponse?
        var isCancelled = false
        var onCancel: Callback<@Sendable () -> Void>?
        var onAnswer: Callback<@Sendable (InboundResponse) -> Void>?
        /// By which name the connection is watched.
        var watch: UInt64?
    }

    private let destination: any Destination
    private let state = Locked(State())

    init(_ destination: any Destination) { self.destination = destination }

    /// `start` has returned. Returns the answer if it is there, or else puts the connection to sleep.
    func suspend() -> InboundResponse? {
        let last = state.withLock { state -> State? in
            guard state.early == nil else {
                defer { state = State(phase: .answered) }
                return state
            }
            destination.suspend()
            state.phase = .suspended
            return nil
        }
        guard let last, let response = last.early else { return nil }
        settle(last, response)
        destination.release()
        return response
    }

    /// Answers; false when there was an answer before.
    @discardableResult
    func finish(_ response: InboundResponse) -> Bool {
        let (isFirst, last) = state.withLock { state -> (Bool, State?) in
            switch state.phase {
            case .answered: return (false, nil)
            case .starting:
                // The connection's thread does the rest: it does not wait for this one, and may close at any time.
                (state.phase, state.early) = (.answered, response)
                return (true, nil)
            case .suspended:
                // What it drops may hold on to the responder.
                defer { state = State(phase: .answered) }
                return (true, state)
            }
        }
        if let last {
            settle(last, response)
            Batch.afterwards { [destination] in
                destination.resume(response)
                // Not before: a shutdown waits for it, and must find no connection asleep.
                destination.release()
            }
        }
        return isFirst
    }

    /// While the connection is open still: the library closes nothing that sleeps.
    private func settle(_ last: State, _ response: InboundResponse) {
        if let watch = last.watch { destination.unwatch(watch) }
        last.onAnswer?.function(response)
    }

    /// The responder is gone.
    func dropped() {
        // Nearly always: the answer for the other case is not worth making.
        if state.withLock({ $0.phase == .answered }) { return }
        if finish(.problem(.internalError)) { destination.complain("A handler let a responder go without an answer.") }
    }

    /// There is no use in waiting any longer.
    func cancel() {
        let body = state.withLock { state -> Callback<@Sendable () -> Void>? in
            guard state.phase != .answered, !state.isCancelled else { return nil }
            state.isCancelled = true
            defer { state.onCancel = nil }
            return state.onCancel
        }
        body?.function()
    }

    func onCancel(_ body: Callback<@Sendable () -> Void>) {
        let isCancelled = state.withLock { state in
            guard state.phase != .answered else { return false }
            if state.isCancelled { return true }
            state.onCancel = body
            if state.watch == nil { state.watch = destination.watch(self) }
            return false
        }
        if isCancelled { body.function() }
    }

    func onAnswer(_ body: Callback<@Sendable (InboundResponse) -> Void>) {
        state.withLock { state in
            if state.phase != .answered { state.onAnswer = body }
        }
    }

    var isPeerGone: Bool { state.withLock { $0.phase == .answered } || destination.isPeerGone }
}

/// A connection that waits for its answer.
@safe final class SleepingConnection: PendingAnswer.Destination, @unchecked Sendable {
    // Sendable: `handle` is only used to suspend on the connection's thread and then to resume, which the
    // library allows from any thread.
    private let core: ServerCore
    private let exchange: Exchange
    private let handle: OpaquePointer
    private let descriptor: Int32
    private let place: Int

    /// - Parameter place: in the channel, given back when the connection goes on.
    init(_ core: ServerCore, _ exchange: Exchange, _ handle: OpaquePointer, place: Int) {
        (self.core, self.exchange, self.place) = (core, exchange, place)
        unsafe (self.handle, descriptor) = unsafe (handle, farbell_mhd_descriptor(handle))
    }

    var isPeerGone: Bool { exchange.connection.isClientGone }

    func suspend() { unsafe MHD_suspend_connection(handle) }

    func resume(_ response: InboundResponse) {
        exchange.response = response
        unsafe exchange.connection.resume(handle)
    }

    func release() { core.channel.release(place: place) }

    func watch(_ pending: PendingAnswer) -> UInt64? { core.streams.watch(pending, descriptor) }
    func unwatch(_ id: UInt64) { core.streams.unwatch(id, descriptor) }

    func complain(_ fault: StaticString) {
        core.log.error("http.failed", fault, ["requestId": .string(exchange.id)])
    }
}
