internal import Base
internal import CMicroHTTPD
internal import Glibc

/// The library's server: its threads, and the way from its callbacks into `ServerCore`.
@safe final class Daemon: @unchecked Sendable {
    // Sendable: `handle` never changes, and the library locks.
    private let handle: OpaquePointer
    /// The callbacks' context, kept until the library's threads are gone.
    private let core: ServerCore

    /// Stack of each of the library's threads: handlers run on it.
    private static let stackBytes = 1 << 20

    /// It does not listen itself: see `Acceptor`.
    /// - Throws: `InboundError` when the library does not start.
    init(_ core: ServerCore, threads: Int) throws(InboundError) {
        self.core = core
        var flags =
            MHD_USE_EPOLL_INTERNAL_THREAD.rawValue | MHD_ALLOW_SUSPEND_RESUME.rawValue | MHD_USE_ITC.rawValue
            | MHD_USE_NO_LISTEN_SOCKET.rawValue
        // Closes without shutting down, so that a stream can take its connection along.
        if core.certificates == nil { flags |= MHD_USE_TURBO.rawValue }
        let limits = core.limits
        var options = unsafe [
            Self.option(MHD_OPTION.THREAD_POOL_SIZE, threads),
            Self.option(MHD_OPTION.THREAD_STACK_SIZE, Self.stackBytes),
            Self.option(MHD_OPTION.CONNECTION_MEMORY_LIMIT, limits.connectionBytes),
            Self.option(MHD_OPTION.CONNECTION_LIMIT, limits.connections),
            Self.option(MHD_OPTION.PER_IP_CONNECTION_LIMIT, limits.connectionsPerAddress),
            Self.option(MHD_OPTION.CONNECTION_TIMEOUT, Int(max(1, limits.idleTimeout.wholeSeconds))),
            Self.option(MHD_OPTION.STRICT_FOR_CLIENT, 1),
        ]
        if core.certificates != nil {
            flags |= MHD_USE_TLS.rawValue
            unsafe options.append(farbell_mhd_certificate_option(retrieveCertificate))
        }
        unsafe options.append(Self.option(MHD_OPTION.END, 0))
        var callbacks = unsafe farbell_mhd_callbacks(
            access: access, target: targetRead, completed: completed, connection: connectionChanged,
            unescape: keepEscapes, context: Unmanaged.passUnretained(core).toOpaque())
        guard let handle = unsafe farbell_mhd_start(flags, &callbacks, &options) else {
            throw InboundError(.start, "the HTTP library did not start", underlying: FileSystem.lastError)
        }
        unsafe self.handle = handle
    }

    /// Gives a connection to one of the threads, to each in turn (by the descriptor's number). The library closes it,
    /// also when it has no room for it.
    func add(_ descriptor: Int32, from peer: inout sockaddr_storage, _ size: socklen_t) {
        _ = unsafe farbell_mhd_add(handle, descriptor, &peer, size)
    }

    /// Closes all connections and ends the threads; blocks until that is done. No connection may be suspended.
    func stop() { unsafe MHD_stop_daemon(handle) }

    private static func option(_ option: MHD_OPTION, _ value: Int) -> MHD_OptionItem {
        unsafe MHD_OptionItem(option: option, value: value, ptr_value: nil)
    }
}

private func core(_ context: UnsafeMutableRawPointer) -> ServerCore {
    unsafe Unmanaged<ServerCore>.fromOpaque(context).takeUnretainedValue()
}

/// The connection's object, set when it was accepted.
private func connection(of handle: OpaquePointer) -> Connection? {
    unsafe farbell_mhd_socket_context(handle).map {
        unsafe Unmanaged<Connection>.fromOpaque($0).takeUnretainedValue()
    }
}

/// A connection was accepted or will be closed.
private func connectionChanged(
    _ context: UnsafeMutableRawPointer?, _ handle: OpaquePointer?,
    _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ event: MHD_ConnectionNotificationCode
) {
    guard let context = unsafe context, let handle = unsafe handle, let slot = unsafe slot else { return }
    if event == .CONNECTION_NOTIFY_STARTED {
        unsafe slot.pointee = Unmanaged.passRetained(core(context).accepted(handle)).toOpaque()
    } else if let pointer = unsafe slot.pointee {
        let connection = unsafe Unmanaged<Connection>.fromOpaque(pointer).takeRetainedValue()
        unsafe core(context).closed(connection)
        unsafe slot.pointee = nil
    }
}

/// The request line was read: what is returned becomes the request's own context.
private func targetRead(
    _ context: UnsafeMutableRawPointer?, _ target: UnsafePointer<CChar>?, _ handle: OpaquePointer?
) -> UnsafeMutableRawPointer? {
    guard let context = unsafe context, let target = unsafe target, let handle = unsafe handle,
        let connection = unsafe connection(of: handle)
    else { return nil }
    return unsafe Unmanaged.passRetained(core(context).begin(target, on: connection)).toOpaque()
}

/// Headers, a piece of the body, or the end of the request.
private func access(
    _ context: UnsafeMutableRawPointer?, _ handle: OpaquePointer?, _ url: UnsafePointer<CChar>?,
    _ method: UnsafePointer<CChar>?, _ version: UnsafePointer<CChar>?, _ body: UnsafePointer<CChar>?,
    _ bodySize: UnsafeMutablePointer<Int>?, _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> MHD_Result {
    guard let context = unsafe context, let handle = unsafe handle, let method = unsafe method,
        let bodySize = unsafe bodySize, let pointer = unsafe slot?.pointee
    else { return MHD_Result.NO }
    let exchange = unsafe Unmanaged<Exchange>.fromOpaque(pointer).takeUnretainedValue()
    let bytes = unsafe UnsafeRawBufferPointer(start: body, count: body == nil ? 0 : bodySize.pointee)
    unsafe bodySize.pointee = 0
    if exchange.stage == .started {
        exchange.isHead = unsafe strcmp(method, "HEAD") == 0
        exchange.isOldVersion = unsafe version.map { unsafe strcmp($0, "HTTP/1.0") == 0 } ?? false
    }
    return unsafe core(context).proceed(exchange, handle, method: method, body: bytes)
}

/// The request is over, answered or not.
private func completed(
    _ context: UnsafeMutableRawPointer?, _ handle: OpaquePointer?,
    _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ reason: MHD_RequestTerminationCode
) {
    guard let context = unsafe context, let slot = unsafe slot, let pointer = unsafe slot.pointee else { return }
    let exchange = unsafe Unmanaged<Exchange>.fromOpaque(pointer).takeRetainedValue()
    unsafe slot.pointee = nil
    unsafe core(context).end(exchange)
}

/// The target is decoded by `RequestTarget`, which refuses what is malformed; the library would guess.
private func keepEscapes(
    _ context: UnsafeMutableRawPointer?, _ handle: OpaquePointer?, _ text: UnsafeMutablePointer<CChar>?
) -> Int {
    unsafe text.map { unsafe strlen($0) } ?? 0
}

/// A TLS handshake asks for the certificate.
private func retrieveCertificate(
    _ session: gnutls_session_t?, _ authorities: UnsafePointer<gnutls_datum_t>?, _ authorityCount: Int32,
    _ algorithms: UnsafePointer<gnutls_pk_algorithm_t>?, _ algorithmCount: Int32,
    _ chain: UnsafeMutablePointer<UnsafeMutablePointer<gnutls_pcert_st>?>?, _ count: UnsafeMutablePointer<UInt32>?,
    _ key: UnsafeMutablePointer<gnutls_privkey_t?>?
) -> Int32 {
    guard let session = unsafe session, let handle = unsafe gnutls_session_get_ptr(session),
        let certificate = unsafe connection(of: OpaquePointer(handle))?.certificates?.current
    else { return -1 }
    unsafe chain?.pointee = certificate.chain
    unsafe count?.pointee = certificate.count
    unsafe key?.pointee = certificate.key
    return 0
}
