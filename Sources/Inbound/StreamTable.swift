internal import Base
internal import CMicroHTTPD
internal import Glibc

/// All open event streams: one timer and one watching thread for all of them.
///
/// A sleeping connection is in nobody's poll set, so that its end would show at the next ping only.
/// Therefore this watches for hang-ups itself.
final class StreamTable: Sendable {
    private struct State {
        var streams: [UInt64: EventStream] = [:]
        var nextID: UInt64 = 1
        var isClosed = false
    }

    private let state = Locked(State())
    private let limit: Int
    private let limits: StreamLimits
    private let ping = EventText.comment("ping")
    private let poll: Int32
    /// What the watcher's own wake-up looks like; streams count from 1.
    private static let stopID: UInt64 = 0
    private let stopEvent: Int32

    /// - Throws: `InboundError` when the system has no descriptor for the watcher.
    init(limit: Int, limits: StreamLimits) throws(InboundError) {
        (self.limit, self.limits) = (limit, limits)
        poll = farbell_poll_set()
        stopEvent = farbell_event()
        guard poll >= 0, stopEvent >= 0 else {
            let message = FileSystem.lastError
            if poll >= 0 { Glibc.close(poll) }
            throw InboundError(.start, "cannot watch event streams", underlying: message)
        }
        _ = farbell_poll_add_readable(poll, stopEvent, Self.stopID)
    }

    deinit {
        Glibc.close(poll)
        Glibc.close(stopEvent)
    }

    var count: Int { state.withLock { $0.streams.count } }

    /// Starts the watching thread; it keeps the table until `stop`.
    func start() {
        SystemThread.start(name: "streams", stackBytes: 256 << 10) { self.watchHangUps() }
    }

    /// Ends the watching thread.
    func stop() {
        var one: UInt64 = 1
        _ = unsafe write(stopEvent, &one, MemoryLayout<UInt64>.size)
    }

    /// Takes a stream in; nil when there are too many, or a shutdown has begun.
    func insert(_ stream: EventStream) -> UInt64? {
        state.withLock { state in
            guard !state.isClosed, state.streams.count < limit else { return nil }
            defer { state.nextID += 1 }
            state.streams[state.nextID] = stream
            return state.nextID
        }
    }

    /// Sets up a stream's socket and watches it.
    func watch(_ descriptor: Int32, id: UInt64) {
        Socket.set(descriptor, SOL_SOCKET, SO_SNDBUF, Int32(clamping: limits.socketBufferBytes))
        Socket.set(
            descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, Int32(clamping: limits.stallTimeout.milliseconds))
        _ = farbell_poll_add_hang_up(poll, descriptor, id)
    }

    func remove(id: UInt64, descriptor: Int32) {
        state.withLock { _ = $0.streams.removeValue(forKey: id) }
        _ = farbell_poll_remove(poll, descriptor)
    }

    func tick(now: Moment) {
        let all = state.withLock { Array($0.streams.values) }
        for stream in all { stream.tick(now: now, limits: limits, ping: ping) }
    }

    /// Ends all streams and lets no new one in. The clients are told when to come back, each at another time.
    func close() {
        let all = state.withLock { state in
            state.isClosed = true
            return state.streams
        }
        let shortest = max(1, limits.shutdownRetry.milliseconds)
        for (id, stream) in all {
            // A fraction of the id times the golden ratio: evenly spread for consecutive ids.
            let spread = Int64((id &* 0x9E37_79B9_7F4A_7C15) >> 33) % shortest
            let last = EventText.comment("the server stops") + EventText.retry(milliseconds: shortest + spread)
            stream.end(.shutdown, last: last)
        }
    }

    private func watchHangUps() {
        var ids = [UInt64](repeating: 0, count: 64)
        while true {
            let count = unsafe farbell_poll_wait(poll, &ids)
            if count < 0 && errno != EINTR { return }
            for id in ids.prefix(max(0, Int(count))) {
                if id == Self.stopID { return }
                state.withLock { $0.streams[id] }?.connectionLost()
            }
        }
    }
}
