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
    private let loop: EventLoop
    private let watcher = Watcher()
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

    /// - Throws: `CurlFailure` when memory is short.
    init(loop: EventLoop) throws {
        guard let handle = unsafe curl_multi_init() else { throw CurlFailure(code: CURLE_OUT_OF_MEMORY) }
        unsafe self.handle = handle
        self.loop = loop
        super.init()
        watcher.multi = self
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe farbell_multi_set_callbacks(handle, Self.socketChanged, Self.timerChanged, context)
        loop.add(self)
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
        unsafe curl_multi_remove_handle(handle, transfer.easy.handle)
    }

    /// Removes all transfers and ends the multi's use of the loop.
    func shutDown() {
        for transfer in transfers.values { unsafe curl_multi_remove_handle(handle, transfer.easy.handle) }
        transfers = [:]
        loop.remove(self)
    }

    /// Does what fell due by time.
    override func fire() { act(CURL_SOCKET_TIMEOUT, 0) }

    private func act(_ descriptor: Int32, _ flags: Int32) {
        var running: Int32 = 0
        unsafe curl_multi_socket_action(handle, descriptor, flags, &running)
        // First all of them, then what follows: libcurl looks through its whole list whenever a handle is removed.
        var code = CURLE_OK
        var ended: [(transfer: CurlTransfer, code: CURLcode)] = []
        while let easy = unsafe farbell_multi_next_done(handle, &code) {
            if let transfer = transfers[UInt(bitPattern: easy)] { ended.append((transfer, code)) }
        }
        for (transfer, code) in ended where transfers[transfer.easy.identity] === transfer {
            transfer.completed(code)
        }
    }

    private static let socketChanged: curl_socket_callback = { _, descriptor, what, context, _ in
        guard let context = unsafe context else { return 0 }
        let multi = unsafe Unmanaged<CurlMulti>.fromOpaque(context).takeUnretainedValue()
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
