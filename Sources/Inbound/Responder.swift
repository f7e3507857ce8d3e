internal import Base

/// Carries the answer to one request from wherever it is made: see `Answer.whenDone`.
///
/// Used once, from any thread. One that is let go unused answers 500, and the log tells.
package final class Responder: Sendable {
    private let pending: PendingAnswer

    init(_ pending: PendingAnswer) { self.pending = pending }

    /// A responder for tests of handlers, without a server.
    /// - Parameters:
    ///   - isPeerGone: what the property of this name returns until there is an answer.
    ///   - deliver: gets the answer.
    package convenience init(
        isPeerGone: @escaping @Sendable () -> Bool = { false },
        deliver: @escaping @Sendable (InboundResponse) -> Void
    ) {
        let pending = PendingAnswer(TestDestination(isPeerGone: isPeerGone, deliver: deliver))
        _ = pending.suspend()
        self.init(pending)
    }

    deinit { pending.dropped() }

    /// Answers the request, without a change of thread: the connection goes on with this. An answer after
    /// the first is ignored: the server may have answered 503 because its time to stop was over. Be quick
    /// to call it; nothing in it waits.
    package func answer(_ response: InboundResponse) { pending.finish(response) }

    /// Says what to do when there is no use in waiting any longer: the server drains, or the client has
    /// hung up. Called at most once, on a thread of the server's or, when it is so already, inside this very
    /// call; never after the answer. It must not wait; an answer is due then, and soon.
    ///
    /// From here on the connection is watched for its end, which costs two system calls a request: what is
    /// answered within milliseconds need not call this.
    package func onCancel(_ body: @escaping @Sendable () -> Void) { pending.onCancel(Callback(body)) }

    /// Says who else gets the answer, before the connection does: for counting and logging. Also gets what
    /// the server answers itself (500 for a dropped responder, 503 at the end of a shutdown).
    package func onAnswer(_ body: @escaping @Sendable (InboundResponse) -> Void) { pending.onAnswer(Callback(body)) }

    /// Whether the client has hung up, or the request is over. Worth asking before handing out something
    /// that must not get lost. One system call.
    package var isPeerGone: Bool { pending.isPeerGone }

    /// Does what the server does when it drains; for tests of handlers.
    package func cancel() { pending.cancel() }
}

/// Where an answer goes in tests.
private struct TestDestination: PendingAnswer.Destination {
    let peerGone: @Sendable () -> Bool
    let deliver: @Sendable (InboundResponse) -> Void

    init(isPeerGone: @escaping @Sendable () -> Bool, deliver: @escaping @Sendable (InboundResponse) -> Void) {
        (peerGone, self.deliver) = (isPeerGone, deliver)
    }

    var isPeerGone: Bool { peerGone() }
    func suspend() {}
    func resume(_ response: InboundResponse) { deliver(response) }
    func release() {}
    func watch(_ pending: PendingAnswer) -> UInt64? { nil }
    func unwatch(_ id: UInt64) {}
    func complain(_ fault: StaticString) {}
}
