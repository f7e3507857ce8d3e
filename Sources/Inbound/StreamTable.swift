internal import Base
internal import CMicroHTTPD
internal import Glibc

/// All open event streams: one timer and one watching thread for all of them.
///
/// A sleeping connection is in no poll set of the library's, so that its end would show at the next ping
/// only. Therefore this watches for hang-ups itself.
final class StreamTable: Sendable {
    private struct Entry {
        let stream: EventStream
        let carrier: any EventStream.Carrier
    }

    private struct State {
        var entries: [UInt64: Entry] = [:]
        var nextID: UInt64 = 1
        var isClosed = false
    }

    /// What a connection is watched for, beside hang-ups.
    enum Interest: Sendable {
        case hangUp
        case writable
    }

    private let state = Locked(State())
    private let limit: Int
    private let limits: StreamLimits
    private let ping = EventText.comment("ping")
    private let poll: Int32
    private let stopEvent: Int32
    /// What the watcher's own wake-up is called; streams count from 1.
    private static let stopID: UInt64 = 0

    /// - Throws: `InboundError` when the system has no descriptor for the watcher.
    init(limit: Int, limits: StreamLimits) throws(InboundError) {
        (self.limit, self.limits) = (limit, limits)
        poll = farbell_poll_set()
        stopEvent = farbell_event()
        guard poll >= 0, stopEvent >= 0 else {
            // `deinit` runs also after this and closes what there is.
            throw InboundError(.start, "cannot watch event streams", underlying: FileSystem.lastError)
        }
        _ = farbell_poll_watch(poll, stopEvent, Self.stopID, UInt32(farbell_READABLE), 1)
    }

    deinit {
        if poll >= 0 { Glibc.close(poll) }
        if stopEvent >= 0 { Glibc.close(stopEvent) }
    }

    var count: Int { state.withLock { $0.entries.count } }

    /// Starts the watching thread; it keeps the table until `stop`.
    func start() {
        SystemThread.start(name: "streams", stackBytes: 256 << 10) { self.watch() }
    }

    /// Breaks off what is still open, and ends the watching thread.
    func stop() {
        for entry in entries { entry.carrier.event(hungUp: true) }
        var one: UInt64 = 1
        _ = unsafe write(stopEvent, &one, MemoryLayout<UInt64>.size)
    }

    /// A number for a stream to come.
    func makeID() -> UInt64 {
        state.withLock { state in
            defer { state.nextID += 1 }
            return state.nextID
        }
    }

    /// Takes a stream in; false when there are too many, or a shutdown has begun.
    func insert(_ stream: EventStream, _ carrier: any EventStream.Carrier, id: UInt64) -> Bool {
        state.withLock { state in
            guard !state.isClosed, state.entries.count < limit else { return false }
            state.entries[id] = Entry(stream: stream, carrier: carrier)
            return true
        }
    }

    /// Sets up a stream's socket and begins to watch it.
    func prepare(_ descriptor: Int32, id: UInt64) {
        Socket.set(descriptor, SOL_SOCKET, SO_SNDBUF, Int32(clamping: limits.socketBufferBytes))
        Socket.set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        Socket.set(
            descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, Int32(clamping: limits.stallTimeout.milliseconds * 2))
        watch(descriptor, id: id, for: .hangUp, isNew: true)
    }

    /// Watches for the next event of a connection.
    func watch(_ descriptor: Int32, id: UInt64, for interest: Interest, isNew: Bool = false) {
        var events = UInt32(farbell_HANG_UP)
        if interest == .writable { events |= UInt32(farbell_WRITABLE) }
        _ = farbell_poll_watch(poll, descriptor, id, events, isNew ? 1 : 0)
    }

    /// Forgets a stream. Its descriptor must be open still.
    func remove(id: UInt64, descriptor: Int32) {
        state.withLock { _ = $0.entries.removeValue(forKey: id) }
        _ = farbell_poll_remove(poll, descriptor)
    }

    func tick(now: Moment) {
        for entry in entries { entry.stream.tick(now: now, limits: limits, ping: ping) }
    }

    /// Ends all streams and lets no new one in. The clients are told when to come back, each at another time.
    func close() {
        let all = state.withLock { state in
            state.isClosed = true
            return state.entries
        }
        let shortest = max(1, limits.shutdownRetry.milliseconds)
        for (id, entry) in all {
            // A fraction of the id times the golden ratio: evenly spread for consecutive ids.
            let spread = Int64((id &* 0x9E37_79B9_7F4A_7C15) >> 33) % shortest
            let last = EventText.comment("the server stops") + EventText.retry(milliseconds: shortest + spread)
            entry.stream.end(.shutdown, last: last)
        }
    }

    private var entries: [Entry] { state.withLock { Array($0.entries.values) } }

    private func watch() {
        var events = [farbell_poll_event](repeating: farbell_poll_event(), count: 64)
        while true {
            let count = unsafe farbell_poll_wait(poll, &events)
            if count < 0 && errno != EINTR { return }
            for event in events.prefix(max(0, Int(count))) {
                if event.id == Self.stopID { return }
                state.withLock { $0.entries[event.id]?.carrier }?.event(hungUp: event.hung_up != 0)
            }
        }
    }
}
