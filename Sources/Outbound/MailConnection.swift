package import Base

/// A connection to a mail server on which the login is done: bytes to and from the server, in the clear for
/// us, inside TLS on the wire. IMAP is authenticated with no mailbox selected; tags `A001`... are used up.
///
/// Costs little while idle: no thread, no buffer. Nothing is read before somebody asks for it, so a slow
/// reader slows the server down and not our memory. Losing the last reference closes the connection.
package final class MailConnection: Sendable {
    /// The most bytes that `receive(until:)` returns.
    package static let chunkLimit = 16 << 10
    /// Calls of `send` that may wait at once.
    package static let sendersLimit = 16

    private let session: MailSession
    private let loop: EventLoop

    init(_ session: MailSession, loop: EventLoop) {
        (self.session, self.loop) = (session, loop)
    }

    deinit { close() }

    /// Sends all bytes; several calls are served in order. A cancelled call that has sent a part closes the
    /// connection, because the rest of the command is missing.
    /// - Throws: `MailConnectionError`: `connectionLost`, `closed`, `stopped`, `overloaded`; `CancellationError`.
    package func send(_ bytes: [UInt8]) async throws {
        try Task.checkCancellation()
        guard !bytes.isEmpty else { return }
        let order = MailSession.SendOrder(bytes)
        try await order.done.wait {
            post(failing: order.done) { $0.send(order) }
        } onCancel: { [session, loop] in
            loop.post { session.cancel(order) }
        }
    }

    /// Waits for bytes from the server and returns at most `chunkLimit` of them; empty when the server has
    /// closed, nil when the deadline passed and nothing had come. One call at a time. A call that is cancelled
    /// or ends at its deadline loses nothing: the next one gets the bytes.
    /// - Parameter deadline: by the client's clock. Bytes that are there are returned even after it.
    /// - Throws: `MailConnectionError`: `connectionLost`, `closed`, `stopped`; `invalidRequest` for a second call
    ///   while one waits; `CancellationError`.
    package func receive(until deadline: Moment) async throws -> [UInt8]? {
        try Task.checkCancellation()
        let bytes = Pending<[UInt8]?>()
        return try await bytes.wait {
            post(failing: bytes) { $0.receive(bytes, until: deadline) }
        } onCancel: { [session, loop] in
            loop.post { session.cancelReceive() }
        }
    }

    /// Closes at once; waiting calls end with `closed`. Sends no LOGOUT. May be called more than once.
    package func close() {
        loop.post { [session] in session.close(MailConnectionError(.closed, "the connection is closed")) }
    }

    private func post<Value>(failing pending: Pending<Value>, _ body: @escaping @Sendable (MailSession) -> Void) {
        if !loop.post({ [session] in body(session) }) {
            pending.settle(.failure(MailConnectionError(.stopped, "the client has stopped")))
        }
    }
}

extension HTTPClient {
    /// Connects to a mail server and logs in. At most `Configuration.mailLogins` are being made at once; the
    /// others wait in the order of the calls.
    /// - Throws: `MailConnectionError`; `CancellationError` when the task is cancelled.
    package func connectMail(_ request: MailConnectionRequest) async throws -> MailConnection {
        try Task.checkCancellation()
        guard isAccepting else { throw MailConnectionError(.stopped, "the client is stopping") }
        let order = MailSessions.Order(request)
        return try await order.answer.wait {
            if !loop.post({ [mail] in mail.submit(order) }) {
                order.answer.settle(.failure(MailConnectionError(.stopped, "the client has stopped")))
            }
        } onCancel: { [loop, mail] in
            loop.post { mail.cancel(order) }
        }
    }
}
