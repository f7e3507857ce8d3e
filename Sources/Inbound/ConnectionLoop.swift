internal import Base
internal import CMicroHTTPD
internal import Glibc

/// One of the library's servers, polled by a thread of ours, which reads requests and writes answers.
///
/// The library's own threads are woken through a descriptor that is written to for every answer; this one once for
/// all that came together.
@safe final class ConnectionLoop: @unchecked Sendable {
    // Sendable: `handle` is the thread's own until it has ended; to resume, which others do, the library locks.

    /// A connection that was accepted and not yet handed to the library.
    struct Arrival: Sendable {
        let descriptor: Int32
        var peer: sockaddr_storage
        let size: socklen_t
    }

    private struct State {
        var arrivals: [Arrival] = []
        var isStopping = false
    }

    /// Stack of the thread: handlers run on it.
    private static let stackBytes = 1 << 20

    private let handle: OpaquePointer
    /// The callbacks' context, kept until the library's server is gone.
    private let context: LoopContext
    /// Watches the library's own poll set and the context's descriptor.
    private let polling: Int32
    private let state = Locked(State())
    private let ended = Semaphore()
    /// Whether `stop` has ended the library's server.
    private var isStopped = false

    /// Starts. It does not listen itself: see `Acceptor`.
    /// - Parameter connections: the most the library takes.
    /// - Throws: `InboundError` when the library does not start.
    init(_ core: ServerCore, number: Int, connections: Int) throws(InboundError) {
        context = try LoopContext(core)
        unsafe handle = try Self.start(context, connections: connections)
        polling = farbell_poll_set()
        let library = unsafe farbell_mhd_polling(handle)
        guard polling >= 0, library >= 0, farbell_poll_level(polling, context.descriptor) == 0,
            farbell_poll_level(polling, library) == 0
        else {
            // `deinit` runs also after this.
            throw InboundError(.start, "no descriptor is left for the HTTP server", underlying: FileSystem.lastError)
        }
        SystemThread.start(name: "http-\(number)", stackBytes: Self.stackBytes) { [self] in
            run()
            ended.signal()
        }
    }

    deinit {
        if !isStopped { unsafe MHD_stop_daemon(handle) }
        if polling >= 0 { close(polling) }
        for arrival in state.withLock({ $0.arrivals }) { close(arrival.descriptor) }
    }

    /// Connections given to this loop and not closed.
    var load: Int { context.load }

    /// Takes a connection over. The library closes it, also when it has no room for it.
    func add(_ arrival: Arrival) {
        context.changeLoad(by: 1)
        state.withLock { $0.arrivals.append(arrival) }
        context.wake()
    }

    /// Ends the thread and closes all connections; blocks until that is done. No connection may be suspended.
    func stop() {
        state.withLock { $0.isStopping = true }
        context.wake()
        ended.wait()
        unsafe MHD_stop_daemon(handle)
        isStopped = true
    }

    private func run() {
        context.begin()
        while true {
            // What is resumed from here on wakes the loop anew.
            if !context.takeWake() {
                farbell_poll_any(polling, unsafe farbell_mhd_timeout(handle))
                context.drain()
            }
            let (arrivals, isStopping) = state.withLock { state in
                defer { state.arrivals = [] }
                return (state.arrivals, state.isStopping)
            }
            for arrival in arrivals { take(arrival) }
            if isStopping { return }
            _ = unsafe MHD_run_wait(handle, 0)
        }
    }

    private func take(_ arrival: Arrival) {
        var arrival = arrival
        let isTaken = unsafe farbell_mhd_add(handle, arrival.descriptor, &arrival.peer, arrival.size)
        // For others it ends when they are closed.
        if isTaken == MHD_Result.NO { context.changeLoad(by: -1) }
    }

    private static func start(_ context: LoopContext, connections: Int) throws(InboundError) -> OpaquePointer {
        let limits = context.core.limits
        var flags =
            MHD_USE_EPOLL.rawValue | MHD_ALLOW_SUSPEND_RESUME.rawValue | MHD_USE_ITC.rawValue
            | MHD_USE_NO_LISTEN_SOCKET.rawValue
        // Closes without shutting down, so that a stream can take its connection along.
        if context.core.certificates == nil { flags |= MHD_USE_TURBO.rawValue }
        var options = unsafe [
            option(MHD_OPTION.CONNECTION_MEMORY_LIMIT, limits.connectionBytes),
            option(MHD_OPTION.CONNECTION_LIMIT, connections),
            option(MHD_OPTION.CONNECTION_TIMEOUT, Int(max(1, limits.idleTimeout.wholeSeconds))),
            option(MHD_OPTION.STRICT_FOR_CLIENT, 1),
        ]
        if context.core.certificates != nil {
            flags |= MHD_USE_TLS.rawValue
            unsafe options.append(farbell_mhd_certificate_option(retrieveCertificate))
        }
        unsafe options.append(option(MHD_OPTION.END, 0))
        var callbacks = unsafe farbell_mhd_callbacks(
            access: access, target: targetRead, completed: completed, connection: connectionChanged,
            unescape: keepEscapes, context: Unmanaged.passUnretained(context).toOpaque())
        guard let handle = unsafe farbell_mhd_start(flags, &callbacks, &options) else {
            throw InboundError(.start, "the HTTP library did not start", underlying: FileSystem.lastError)
        }
        return unsafe handle
    }

    private static func option(_ option: MHD_OPTION, _ value: Int) -> MHD_OptionItem {
        unsafe MHD_OptionItem(option: option, value: value, ptr_value: nil)
    }
}

/// What a loop's callbacks work with, and what its connections know of it.
final class LoopContext: Sendable {
    private struct State {
        /// Connections given to the loop and not closed.
        var load = 0
        /// Whether the loop has been told to take another turn.
        var isWoken = false
        var thread: pthread_t?
    }

    let core: ServerCore
    /// Becomes readable to wake the loop.
    let descriptor: Int32
    private let state = Locked(State())

    /// - Throws: `InboundError` when no descriptor is left.
    init(_ core: ServerCore) throws(InboundError) {
        self.core = core
        descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard descriptor >= 0 else {
            throw InboundError(.start, "no descriptor is left for the HTTP server", underlying: FileSystem.lastError)
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    var load: Int { state.withLock { $0.load } }
    func changeLoad(by difference: Int) { state.withLock { $0.load += difference } }

    /// The calling thread is the loop's.
    func begin() { state.withLock { $0.thread = pthread_self() } }

    /// Makes the loop take another turn: with external polling the library tells nobody what was resumed.
    func wake() {
        let isNeeded = state.withLock { state in
            defer { state.isWoken = true }
            return !state.isWoken && state.thread != pthread_self()
        }
        if isNeeded { eventfd_write(descriptor, 1) }
    }

    /// Whether `wake` was called since the last time.
    func takeWake() -> Bool {
        state.withLock { state in
            defer { state.isWoken = false }
            return state.isWoken
        }
    }

    /// Takes what `wake` left in the descriptor.
    func drain() {
        var count = eventfd_t()
        unsafe eventfd_read(descriptor, &count)
    }
}

private func loop(_ context: UnsafeMutableRawPointer) -> LoopContext {
    unsafe Unmanaged<LoopContext>.fromOpaque(context).takeUnretainedValue()
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
        unsafe slot.pointee = Unmanaged.passRetained(loop(context).core.accepted(handle, by: loop(context))).toOpaque()
    } else if let pointer = unsafe slot.pointee {
        let connection = unsafe Unmanaged<Connection>.fromOpaque(pointer).takeRetainedValue()
        unsafe loop(context).core.closed(connection)
        unsafe loop(context).changeLoad(by: -1)
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
    return unsafe Unmanaged.passRetained(loop(context).core.begin(target, on: connection)).toOpaque()
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
    return unsafe loop(context).core.proceed(exchange, handle, method: method, body: bytes)
}

/// The request is over, answered or not.
private func completed(
    _ context: UnsafeMutableRawPointer?, _ handle: OpaquePointer?,
    _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ reason: MHD_RequestTerminationCode
) {
    guard let context = unsafe context, let slot = unsafe slot, let pointer = unsafe slot.pointee else { return }
    let exchange = unsafe Unmanaged<Exchange>.fromOpaque(pointer).takeRetainedValue()
    unsafe slot.pointee = nil
    unsafe loop(context).core.end(exchange)
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
