internal import Base
internal import CCurl
internal import Glibc

/// What a multi handle drives: one transfer with its easy handle.
class CurlTransfer {
    let easy: CurlEasy

    init(easy: CurlEasy) { self.easy = easy }

    /// The transfer has ended; called outside of libcurl's callbacks, with the handle still in the multi.
    func completed(_ code: CURLcode) {}
}

/// One multi handle, that is one set of connections, driven by the event loop through libcurl's socket and
/// timer callbacks. Used on the loop's thread only.
@safe final class CurlMulti: LoopTimer {
    private let handle: UnsafeMutableRawPointer
    /// Which of its connections may carry many requests, where that matters.
    var proof = ConnectionProof()
    /// Takes no further transfers.
    var isRetired = false
    private let loop: EventLoop
    private let watcher = Watcher()
    /// What libcurl has watched.
    private var descriptors: Set<Int32> = []
    private let pulse = Pulse()
    private var shared = SharedConnections()
    private var parcel = Parcel()
    /// By the handle's address.
    private var transfers: [UInt: CurlTransfer] = [:]

    /// Hands a socket's readiness to the multi; apart from the multi because a class has one base.
    private final class Watcher: SocketWatcher {
        weak var multi: CurlMulti?

        override func ready(_ descriptor: Int32, _ events: UInt32) {
            var flags: Int32 = 0
            if events & EPOLLIN.rawValue != 0 { flags |= CURL_CSELECT_IN }
            if events & EPOLLOUT.rawValue != 0 { flags |= CURL_CSELECT_OUT }
            if events & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0 { flags |= CURL_CSELECT_ERR }
            multi?.act(descriptor, flags)
        }
    }

    /// Has the multi look at its connections while requests are on them.
    private final class Pulse: LoopTimer {
        /// How long a request waits at most on a connection that has ended without its knowing.
        static let interval: Duration = .seconds(1)
        weak var multi: CurlMulti?

        override func fire() { multi?.lookAround() }
    }

    /// - Throws: `CurlFailure` when memory is short.
    init(loop: EventLoop) throws {
        guard let handle = unsafe curl_multi_init() else { throw CurlFailure(code: CURLE_OUT_OF_MEMORY) }
        unsafe self.handle = handle
        self.loop = loop
        super.init()
        watcher.multi = self
        pulse.multi = self
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe farbell_multi_set_callbacks(handle, Self.socketChanged, Self.timerChanged, context)
        loop.add(self)
        loop.add(pulse)
    }

    deinit { unsafe curl_multi_cleanup(handle) }

    func set(_ option: CURLMoption, _ value: Int) {
        let code = unsafe farbell_multi_set_long(handle, option, value)
        assert(code == CURLM_OK, "libcurl refused a multi option")
    }

    /// Transfers added and not removed.
    var count: Int { transfers.count }

    /// Starts a transfer.
    /// - Throws: `CurlFailure`.
    func add(_ transfer: CurlTransfer) throws {
        transfers[transfer.easy.identity] = transfer
        guard unsafe curl_multi_add_handle(handle, transfer.easy.handle) == CURLM_OK else {
            transfers[transfer.easy.identity] = nil
            throw CurlFailure(code: CURLE_FAILED_INIT)
        }
    }

    /// Takes a transfer out, whether it has ended or not.
    func remove(_ transfer: CurlTransfer) {
        guard transfers.removeValue(forKey: transfer.easy.identity) != nil else { return }
        shared.end(transfer.easy.identity)
        unsafe curl_multi_remove_handle(handle, transfer.easy.handle)
    }

    /// Removes all transfers and ends the multi's use of the loop.
    func shutDown() {
        for transfer in transfers.values { unsafe curl_multi_remove_handle(handle, transfer.easy.handle) }
        transfers = [:]
        loop.remove(self)
        loop.remove(pulse)
    }

    /// A transfer shares a connection, by its local port, that HTTP/2 may run on.
    func began(_ transfer: CurlTransfer, port: Int) {
        shared.begin(transfer.easy.identity, port: port)
        parcel.began()
        if pulse.deadline == nil { pulse.deadline = loop.now + Pulse.interval }
    }

    private func lookAround() {
        guard !shared.isEmpty else { return }
        shared.suspectAll()
        examineSuspects()
        pulse.deadline = loop.now + Pulse.interval
    }

    private func examineSuspects() {
        while let port = shared.nextSuspect() {
            let isMeant = { (descriptor: Int32) in Int(farbell_local_port(descriptor)) == port }
            guard let descriptor = descriptors.first(where: isMeant) else { continue }
            // One of those who are on it reads, and finds a live connection with nothing to say, or the end.
            proceed(descriptor, CURL_CSELECT_IN)
        }
    }

    /// Does what fell due by time.
    override func fire() { act(CURL_SOCKET_TIMEOUT, 0) }

    private func act(_ descriptor: Int32, _ flags: Int32) {
        proceed(descriptor, flags)
        examineSuspects()
    }

    private func proceed(_ descriptor: Int32, _ flags: Int32) {
        var running: Int32 = 0
        if !shared.isEmpty { parcel.open(descriptors) }
        unsafe curl_multi_socket_action(handle, descriptor, flags, &running)
        parcel.send()
        // First all of them, then what follows: libcurl looks through its whole list whenever a handle is removed.
        var code = CURLE_OK
        var ended: [(transfer: CurlTransfer, code: CURLcode)] = []
        while let easy = unsafe farbell_multi_next_done(handle, &code) {
            if let transfer = transfers[UInt(bitPattern: easy)] { ended.append((transfer, code)) }
        }
        for (transfer, code) in ended where transfers[transfer.easy.identity] === transfer {
            if code != CURLE_OK { shared.failed(transfer.easy.identity) }
            transfer.completed(code)
        }
    }

    private static let socketChanged: curl_socket_callback = { _, descriptor, what, context, _ in
        guard let context = unsafe context else { return 0 }
        let multi = unsafe Unmanaged<CurlMulti>.fromOpaque(context).takeUnretainedValue()
        if what == CURL_POLL_REMOVE {
            multi.descriptors.remove(descriptor)
            multi.parcel.release(descriptor)
        } else {
            multi.descriptors.insert(descriptor)
        }
        switch what {
        case CURL_POLL_IN: multi.loop.watch(descriptor, EPOLLIN.rawValue, multi.watcher)
        case CURL_POLL_OUT: multi.loop.watch(descriptor, EPOLLOUT.rawValue, multi.watcher)
        case CURL_POLL_INOUT: multi.loop.watch(descriptor, EPOLLIN.rawValue | EPOLLOUT.rawValue, multi.watcher)
        default: multi.loop.unwatch(descriptor)
        }
        return 0
    }

    private static let timerChanged: curl_multi_timer_callback = { _, milliseconds, context in
        guard let context = unsafe context else { return 0 }
        let multi = unsafe Unmanaged<CurlMulti>.fromOpaque(context).takeUnretainedValue()
        multi.deadline = milliseconds < 0 ? nil : multi.loop.now + .milliseconds(milliseconds)
        return 0
    }
}
