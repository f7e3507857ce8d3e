internal import Base
internal import CCurl
internal import Glibc

/// The loop's side of a mail connection: one easy handle that has logged in and stays in its multi handle, and
/// the callers that wait on it.
final class MailSession: SocketWatcher, DeadlineWaiter, @unchecked Sendable {
    // Sendable: everything in it is touched on the loop's thread alone; others only pass the reference.

    /// Bytes to be sent, and how far they are.
    final class SendOrder: @unchecked Sendable {
        // Sendable: `sent` is touched on the loop's thread alone.
        let bytes: [UInt8]
        let done = Pending<Void>()
        var sent = 0

        init(_ bytes: [UInt8]) { self.bytes = bytes }
    }

    /// What one try to read or write gave.
    private enum Progress<Value> {
        case done(Value)
        /// The socket has nothing, or no room.
        case blocked
        case failed(MailConnectionError)
    }

    private let transfer: MailLogin
    private let loop: EventLoop
    private let deadlines: MailDeadlines
    private let onClose: (MailSession) -> Void
    private var descriptor: Int32
    private var watched: UInt32 = 0
    private var receiver: Pending<[UInt8]?>?
    /// The receiver's entry among the deadlines.
    private var waitID: UInt64?
    private var senders: [SendOrder] = []
    /// Read for a receiver that was cancelled meanwhile: one chunk at most.
    private var leftover: [UInt8] = []
    private var ending: MailConnectionError?

    /// - Parameter onClose: called once, to take the transfer out of its multi handle.
    init(
        _ transfer: MailLogin, descriptor: Int32, loop: EventLoop, deadlines: MailDeadlines,
        onClose: @escaping (MailSession) -> Void
    ) {
        (self.transfer, self.descriptor, self.loop) = (transfer, descriptor, loop)
        (self.deadlines, self.onClose) = (deadlines, onClose)
    }

    /// Ties the connection to the handle. libcurl lets go of it after the login, and until the first read or
    /// write it would count as idle, to be closed after a while.
    func claim() {
        if case .done(let bytes) = tryReceive() { leftover = bytes }
    }

    func receive(_ pending: Pending<[UInt8]?>, until deadline: Moment) {
        if let ending {
            pending.settle(.failure(ending))
            return
        }
        // A cancelled receiver's place is free even before its order to leave has come.
        guard receiver.map({ !$0.isOpen }) ?? true else {
            let error = MailConnectionError(.invalidRequest, "another call is receiving")
            pending.settle(.failure(error))
            return
        }
        // One that was cancelled before its order came.
        guard pending.isOpen else { return }
        takeReceiver()
        receiver = pending
        // TLS may hold decrypted bytes that epoll knows nothing of: try before waiting.
        pump()
        if receiver != nil { waitID = deadlines.insert(self, due: deadline) }
    }

    func cancelReceive() {
        if let receiver, !receiver.isOpen { takeReceiver() }
    }

    /// Nothing came for the receiver in its time.
    func deadlinePassed() {
        waitID = nil
        // What came in the last moment counts before the time that ran out meanwhile.
        pump()
        takeReceiver()?.settle(.success(nil))
    }

    /// Nobody receives any more.
    @discardableResult
    private func takeReceiver() -> Pending<[UInt8]?>? {
        if let waitID { deadlines.remove(waitID) }
        waitID = nil
        defer { receiver = nil }
        return receiver
    }

    func send(_ order: SendOrder) {
        if let ending {
            order.done.settle(.failure(ending))
            return
        }
        guard senders.count < MailConnection.sendersLimit else {
            order.done.settle(.failure(MailConnectionError(.overloaded, "too many calls are sending")))
            return
        }
        senders.append(order)
        pump()
    }

    func cancel(_ order: SendOrder) {
        if order.sent > 0 && order.sent < order.bytes.count {
            close(MailConnectionError(.closed, "a command was cancelled half-way"))
        } else {
            senders.removeAll { $0 === order }
        }
    }

    /// Ends the connection; later calls get `error`.
    func close(_ error: MailConnectionError) {
        guard ending == nil else { return }
        ending = error
        if watched != 0 { loop.unwatch(descriptor) }
        watched = 0
        descriptor = -1
        onClose(self)
        takeReceiver()?.settle(.failure(error))
        for order in senders { order.done.settle(.failure(error)) }
        senders = []
        leftover = []
    }

    /// The multi handle's view of this session.
    var login: MailLogin { transfer }

    override func ready(_ descriptor: Int32, _ events: UInt32) {
        let isWanted = receiver?.isOpen ?? false || !senders.isEmpty
        guard isWanted else {
            // Nobody waits. Not even errors may wake us now, or the loop would spin on them.
            loop.unwatch(descriptor)
            watched = 0
            return
        }
        pump()
    }

    /// Moves what can be moved and watches for the rest.
    private func pump() {
        pumpSends()
        pumpReceive()
        guard ending == nil else { return }
        var wanted: UInt32 = 0
        if receiver != nil { wanted |= EPOLLIN.rawValue }
        if !senders.isEmpty { wanted |= EPOLLOUT.rawValue | EPOLLIN.rawValue }
        // A socket watched for input stays so: the next call usually wants the same.
        if wanted & ~watched != 0 || watched & EPOLLOUT.rawValue != wanted & EPOLLOUT.rawValue {
            watched = wanted | (watched & EPOLLIN.rawValue)
            loop.watch(descriptor, watched, self)
        }
    }

    private func pumpSends() {
        while let order = senders.first {
            guard order.done.isOpen || order.sent > 0 else {
                senders.removeFirst()
                continue
            }
            switch trySend(order) {
            case .done:
                senders.removeFirst()
                order.done.settle(.success(()))
            case .blocked: return
            case .failed(let error): return close(error)
            }
        }
    }

    private func pumpReceive() {
        guard let receiver else { return }
        if !leftover.isEmpty {
            takeReceiver()
            if receiver.settle(.success(leftover)) { leftover = [] }
            return
        }
        switch tryReceive() {
        case .done(let bytes):
            takeReceiver()
            if !receiver.settle(.success(bytes)) { leftover = bytes }
        case .blocked: break
        case .failed(let error): close(error)
        }
    }

    /// Whole or not yet: `order.sent` remembers a part.
    private func trySend(_ order: SendOrder) -> Progress<Void> {
        // After "blocked" OpenSSL wants the same bytes at the same address again: the array does not move.
        unsafe order.bytes.withUnsafeBytes { bytes in
            while order.sent < bytes.count {
                var count = 0
                let rest = unsafe bytes.baseAddress! + order.sent
                let code = unsafe curl_easy_send(transfer.easy.handle, rest, bytes.count - order.sent, &count)
                switch code {
                case CURLE_OK where count > 0: order.sent += count
                case CURLE_OK, CURLE_AGAIN: return .blocked
                default: return .failed(MailConnectionError(.connectionLost, CurlEasy.text(code)))
                }
            }
            return .done(())
        }
    }

    private func tryReceive() -> Progress<[UInt8]> {
        var count = 0
        var code = CURLE_OK
        let bytes = unsafe withUnsafeTemporaryAllocation(byteCount: MailConnection.chunkLimit, alignment: 16) {
            buffer in
            code = unsafe curl_easy_recv(transfer.easy.handle, buffer.baseAddress, buffer.count, &count)
            return unsafe Array(buffer[..<min(count, buffer.count)])
        }
        switch code {
        case CURLE_OK: return .done(bytes)
        case CURLE_AGAIN: return .blocked
        default: return .failed(MailConnectionError(.connectionLost, CurlEasy.text(code)))
        }
    }
}
