internal import Base
internal import CTLS
internal import Glibc

/// What a server does with one connection. Called on the loop's thread only.
package protocol PeerHandler: AnyObject {
    /// The connection stands, with TLS if there is any; a server that greets does it here.
    func opened()
    /// The next bytes, decrypted.
    func received(_ bytes: [UInt8])
    /// The other side has gone or the connection was closed here; nothing follows.
    func closed()
}

/// One accepted connection. All functions belong to the loop's thread.
@safe package final class PeerConnection: EventSource {
    /// Counts from 1 in the order of arrival.
    package let number: Int
    /// What ALPN chose; nil without TLS or ALPN.
    package private(set) var applicationProtocol: String?
    /// The common name of the certificate the client has shown; nil without one.
    package private(set) var clientName: String?
    package private(set) var isClosed = false
    /// Sends at most so many bytes at a time with a pause between: a slow or strangely cut stream.
    package var pacing: (bytes: Int, pause: Duration)?
    /// Neither reads nor writes any more, but stays open: what a dead NAT entry looks like.
    package var isFrozen = false {
        didSet { updateInterest() }
    }

    package let loop: EventLoop
    private let descriptor: Int32
    private var tls: OpaquePointer?
    private var handshaking = false
    private var handler: (any PeerHandler)?
    private var output: [UInt8] = []
    private var sent = 0
    private var closesWhenSent = false
    private var wantsWriting = false
    private var pacedTimer = false
    private let onClose: (PeerConnection) -> Void
    /// The most that one TLS record holds (RFC 8446 section 5.1).
    private static let recordLimit = 16_384

    init(
        number: Int, descriptor: Int32, loop: EventLoop, context: TLSServerContext?,
        onClose: @escaping (PeerConnection) -> Void
    ) {
        (self.number, self.descriptor, self.loop, self.onClose) = (number, descriptor, loop, onClose)
        if let context { beginTLS(context) }
    }

    /// Gives the connection its handler and starts it.
    func start(_ handler: any PeerHandler) {
        self.handler = handler
        loop.add(descriptor, self)
        if unsafe tls == nil { handler.opened() }
    }

    /// Sends bytes in order; what does not fit is kept.
    package func send(_ bytes: [UInt8]) {
        guard !isClosed, !isFrozen else { return }
        if output.isEmpty { output = bytes } else { output.append(contentsOf: bytes) }
        flush()
    }

    package func send(_ text: String) { send(Array(text.utf8)) }

    /// Bytes accepted by `send` that the system has not taken yet.
    package var unsentBytes: Int { output.count - sent }

    /// Speaks TLS from the next byte on (STARTTLS); call it after the plain answer was sent.
    package func beginTLS(_ context: TLSServerContext) {
        guard let tls = unsafe SSL_new(context.handle) else { return abort() }
        unsafe SSL_set_fd(tls, descriptor)
        unsafe SSL_set_accept_state(tls)
        unsafe self.tls = tls
        handshaking = true
    }

    /// Closes when everything has been sent.
    package func close() {
        closesWhenSent = true
        if output.isEmpty { end() }
    }

    /// Closes at once with a TCP reset.
    package func abort() {
        guard !isClosed else { return }
        var linger = linger(l_onoff: 1, l_linger: 0)
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
        end(politely: false)
    }

    func abandon() {
        // Another connection's handler may have closed this one when its own was abandoned.
        guard !isClosed else { return }
        isClosed = true
        if let tls = unsafe tls { unsafe SSL_free(tls) }
        unsafe tls = nil
        Glibc.close(descriptor)
        // Handlers give up here what they share with others; a cycle would stay otherwise.
        let handler = handler
        self.handler = nil
        handler?.closed()
    }

    private func end(politely: Bool = true) {
        guard !isClosed else { return }
        isClosed = true
        loop.remove(descriptor)
        if let tls = unsafe tls {
            if politely && !handshaking { unsafe SSL_shutdown(tls) }
            unsafe SSL_free(tls)
            unsafe self.tls = nil
        }
        Glibc.close(descriptor)
        output = []
        let handler = handler
        self.handler = nil
        handler?.closed()
        onClose(self)
    }

    // MARK: Reading

    func ready(_ events: UInt32) {
        if isFrozen {
            // These two are reported without being asked for, and would be again and again.
            if events & UInt32(EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { end(politely: false) }
            return
        }
        if handshaking {
            guard shakeHands() else { return }
        }
        if events & UInt32(EPOLLOUT.rawValue) != 0 { flush() }
        // EPOLLHUP and EPOLLERR show in what reading returns.
        if events & ~UInt32(EPOLLOUT.rawValue) != 0 { readAll() }
    }

    /// True when the handshake is complete.
    private func shakeHands() -> Bool {
        ERR_clear_error()
        let result = unsafe SSL_do_handshake(tls)
        if result == 1 {
            handshaking = false
            applicationProtocol = negotiatedProtocol()
            clientName = certifiedName()
            setWriting(false)
            handler?.opened()
            flush()
            return !isClosed
        }
        switch unsafe SSL_get_error(tls, result) {
        case SSL_ERROR_WANT_READ: setWriting(false)
        case SSL_ERROR_WANT_WRITE: setWriting(true)
        default: end(politely: false)
        }
        return false
    }

    private func negotiatedProtocol() -> String? {
        var start: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        unsafe SSL_get0_alpn_selected(tls, &start, &length)
        guard let start = unsafe start, length > 0 else { return nil }
        return unsafe String(decoding: UnsafeBufferPointer(start: start, count: Int(length)), as: UTF8.self)
    }

    private func certifiedName() -> String? {
        guard let certificate = unsafe SSL_get1_peer_certificate(tls) else { return nil }
        defer { unsafe X509_free(certificate) }
        let text = unsafe [UInt8](unsafeUninitializedCapacity: 256) { buffer, count in
            let length = unsafe ctls_common_name(certificate, buffer.baseAddress, Int32(buffer.count))
            count = max(0, Int(length))
        }
        return String(decoding: text, as: UTF8.self)
    }

    private func readAll() {
        // Bounded, so that one fast sender does not starve the others; epoll reports the rest again.
        for _ in 0..<8 {
            if isClosed || isFrozen || handshaking { return }
            switch readOnce() {
            case .bytes(let bytes): handler?.received(bytes)
            case .nothing: return
            case .end: return end(politely: false)
            }
        }
    }

    private enum Reading {
        case bytes([UInt8])
        case nothing
        case end
    }

    /// Everything that has come, up to a limit: many requests are answered together then.
    private func readOnce() -> Reading {
        var status = Reading.nothing
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 2 * Self.recordLimit) { buffer, count in
            count = 0
            guard let start = buffer.baseAddress else { return }
            // OpenSSL gives a record at a time; with room for a whole one it never keeps a rest that epoll cannot see.
            repeat {
                let length = unsafe read(start + count)
                guard length > 0 else {
                    if length < 0 { status = .end }
                    return
                }
                count += length
            } while unsafe count <= Self.recordLimit && tls != nil
        }
        // An end shows once more, after what came before it.
        return bytes.isEmpty ? status : .bytes(bytes)
    }

    /// How many bytes came, 0 when there are none now, less at the end.
    private func read(_ start: UnsafeMutablePointer<UInt8>) -> Int {
        if let tls = unsafe tls {
            ERR_clear_error()
            let result = unsafe SSL_read(tls, start, Int32(Self.recordLimit))
            if result > 0 { return Int(result) }
            let error = unsafe SSL_get_error(tls, result)
            return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1
        }
        let result = unsafe recv(descriptor, start, Self.recordLimit, 0)
        if result > 0 { return result }
        return result == 0 || (errno != EAGAIN && errno != EINTR) ? -1 : 0
    }

    // MARK: Writing

    private func flush() {
        if isClosed || isFrozen || handshaking || pacedTimer { return }
        while sent < output.count {
            let limit = min(output.count - sent, pacing?.bytes ?? .max, 1 << 20)
            switch writeOnce(limit) {
            case .some(let count) where count > 0: sent += count
            case .some: return setWriting(true)
            case .none: return end(politely: false)
            }
            if let pacing, sent < output.count {
                pacedTimer = true
                loop.after(pacing.pause) { [weak self] in
                    self?.pacedTimer = false
                    self?.flush()
                }
                return
            }
        }
        (output, sent) = ([], 0)
        setWriting(false)
        if closesWhenSent { end() }
    }

    /// How many bytes went out, 0 when the system takes none now, nil when the connection is broken.
    private func writeOnce(_ limit: Int) -> Int? {
        unsafe output.withUnsafeBytes { buffer -> Int? in
            guard let start = unsafe buffer.baseAddress?.advanced(by: sent) else { return 0 }
            if let tls = unsafe tls {
                ERR_clear_error()
                let result = unsafe SSL_write(tls, start, Int32(limit))
                if result > 0 { return Int(result) }
                let error = unsafe SSL_get_error(tls, result)
                return (error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ) ? 0 : nil
            }
            let result = unsafe Glibc.send(descriptor, start, limit, Int32(truncatingIfNeeded: MSG_NOSIGNAL))
            if result >= 0 { return result }
            return (errno == EAGAIN || errno == EINTR) ? 0 : nil
        }
    }

    private func setWriting(_ writing: Bool) {
        guard wantsWriting != writing, !isClosed else { return }
        wantsWriting = writing
        updateInterest()
    }

    private func updateInterest() {
        if !isClosed { loop.watch(descriptor, reading: !isFrozen, writing: wantsWriting && !isFrozen) }
    }
}
