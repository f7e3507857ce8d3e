package import Base

/// Server-sent events to one client. The handler makes it, keeps it, and answers `.stream(stream)`; from
/// then on, or even before, any thread may send. Nothing here waits.
package final class EventStream: Sendable {
    /// Why a stream is over.
    package enum CloseReason: String, Sendable, CaseIterable {
        /// The client hung up, or its network failed.
        case clientGone = "client_gone"
        /// The client took no byte for too long while some waited.
        case stalled
        /// More was sent than may wait for the client.
        case overflow
        /// `close()` was called.
        case ended
        /// The server stops.
        case shutdown
        /// The server has as many streams as it may have; the client got 503.
        case refused
        /// The client asked for the headers only.
        case headersOnly = "headers_only"
    }

    package enum SendResult: Sendable, Hashable {
        /// The event waits for the client or is under way.
        case sent
        /// As `sent`, but more than half of the buffer is used: wait for `onDrain` before sending more.
        case congested
        /// Nothing was sent: the stream is over.
        case closed
    }

    /// How a stream reaches the connection that carries it. A carrier asks for bytes with `take` until it
    /// is told to sleep, and again when woken.
    protocol Carrier: Sendable {
        /// Lets the sleeping connection ask again. Called under the stream's lock.
        func wake()
        /// Follows every `wake`, without the lock.
        func pump()
        /// Breaks the connection off. Called under the stream's lock.
        func cut()
        /// The connection's descriptor is ready, or its other end hung up.
        func event(hungUp: Bool)
    }

    private struct Shell {
        var state: EventStreamState
        var carrier: (any Carrier)?
    }

    private let shell: Locked<Shell>
    private let time: any TimeSource
    private let onClose: @Sendable (CloseReason) -> Void
    private let onDrain: @Sendable () -> Void

    /// - Parameters:
    ///   - limits: only `bufferedBytes` counts here; the rest is the server's.
    ///   - onDrain: called when a congested stream has handed out everything.
    ///   - onClose: called once, with the reason. Both are called on a thread of the server's or the
    ///     sender's: be quick, do not wait, and do not hold a lock that is held while sending.
    package init(
        limits: StreamLimits = StreamLimits(), time: any TimeSource = SystemTime(),
        onDrain: @escaping @Sendable () -> Void = {}, onClose: @escaping @Sendable (CloseReason) -> Void = { _ in }
    ) {
        shell = Locked(Shell(state: EventStreamState(limit: limits.bufferedBytes, now: time.now)))
        (self.time, self.onDrain, self.onClose) = (time, onDrain, onClose)
    }

    /// Sends one event. The data may have several lines.
    /// - Parameters:
    ///   - id: what the client sends back as `Last-Event-ID`.
    ///   - event: the event's type, one word; empty for `message`.
    @discardableResult
    package func send(id: UInt64?, event: String, data: [UInt8]) -> SendResult {
        send(EventText.event(id: id, event: event, data: data))
    }

    /// Tells the client how long to wait before it connects again.
    @discardableResult
    package func sendRetry(milliseconds: Int64) -> SendResult { send(EventText.retry(milliseconds: milliseconds)) }

    /// Sends a comment, which clients ignore. Pings are the server's work, not the producer's.
    @discardableResult
    package func sendComment(_ text: String) -> SendResult { send(EventText.comment(text)) }

    /// Ends the stream after what was sent.
    package func close() { end(.ended) }

    /// Bytes that wait for the client.
    package var bufferedBytes: Int { shell.withLock { $0.state.bufferedBytes } }
    package var isOpen: Bool { shell.withLock { $0.state.isOpen } }

    private func send(_ text: [UInt8]) -> SendResult {
        let now = time.now
        return perform { $0.send(text, now: now) }
    }

    func end(_ reason: CloseReason, last: [UInt8] = []) {
        let now = time.now
        perform { ((), $0.end(reason, last: last, now: now)) }
    }

    func tick(now: Moment, limits: StreamLimits, ping: [UInt8]) {
        perform { ((), $0.tick(now: now, limits: limits, ping: ping)) }
    }

    /// The other end hung up.
    func connectionLost() { perform { ((), $0.connectionLost()) } }

    /// A connection takes over; it calls `take` from now on.
    func attach(_ carrier: any Carrier) { shell.withLock { $0.carrier = carrier } }

    /// The connection is done with the stream, whatever the reason, and must not be touched any more.
    func detach() {
        shell.withLock { $0.carrier = nil }
        connectionLost()
    }

    /// Hands out bytes to the connection. `sleep` runs under the lock, so that nobody wakes a connection
    /// that is not asleep yet.
    func take(_ limit: Int, sleep: () -> Void) -> EventStreamState.Step {
        let now = time.now
        return perform { state in
            let (step, actions) = state.take(limit, now: now)
            if step == .sleep { sleep() }
            return (step, actions)
        }
    }

    /// Wakes and cuts under the lock: after `detach` the carrier must not be called any more, and after
    /// `end` nobody may sleep. Calls out to the producer afterwards.
    @discardableResult
    private func perform<Result: Sendable>(
        _ body: (inout EventStreamState) -> (Result, [EventStreamState.Action])
    ) -> Result {
        let (result, actions, woken) = shell.withLock { shell -> (Result, [EventStreamState.Action], (any Carrier)?) in
            let (result, actions) = body(&shell.state)
            var woken: (any Carrier)?
            for action in actions {
                switch action {
                case .wake:
                    shell.carrier?.wake()
                    woken = shell.carrier
                case .cut: shell.carrier?.cut()
                case .report, .drained: break
                }
            }
            return (result, actions, woken)
        }
        woken?.pump()
        for action in actions {
            switch action {
            case .report(let reason): onClose(reason)
            case .drained: onDrain()
            case .wake, .cut: break
            }
        }
        return result
    }
}
