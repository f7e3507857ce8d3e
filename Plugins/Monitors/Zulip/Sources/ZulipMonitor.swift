internal import Base
internal import Gateway
internal import MonitorTools

/// Watches one Zulip account of each registration by an event queue.
final class ZulipMonitor: Monitor {
    struct Settings: Sendable {
        var address: ServiceAddress
        /// How long a call for events may hang.
        var longPoll = Duration.seconds(90)
        /// The longest time that the stored cursor lags behind where nothing rings.
        var cursorAge = Duration.seconds(300)
    }

    /// Pools of hanging calls: the HTTP client bounds the requests and connections of each.
    private static let pollPools = 16

    private let settings: Settings
    private let time: any TimeSource
    private let calls: MonitorHTTP
    private let polls: [MonitorHTTP]
    /// Of interrupted watches: a queue keeps what happens for ten minutes, so an outage needs no new one.
    private let queues = SessionCache<ZulipQueue>()

    init(_ settings: Settings, app: AppID, transport: any HTTPTransport, time: any TimeSource) {
        (self.settings, self.time) = (settings, time)
        calls = settings.address.calls(pool: "zulip.\(app.text)", transport, time)
        polls = (0..<Self.pollPools).map {
            settings.address.calls(pool: "zulip.\(app.text).events\($0)", transport, time)
        }
    }

    var credentialFields: [CredentialField] {
        [CredentialField("username", isSecret: false), CredentialField("apiKey", isSecret: true)]
    }

    var upstream: String { settings.address.upstream }
    var heardEvery: Duration? { settings.longPoll + settings.address.timeout }

    /// Outside of the task's stack, which lives as long as the watch.
    private final class Watch {
        let client: ZulipClient
        var book: ZulipBook?
        var queue: ZulipQueue?
        var stored: Moment

        init(_ client: ZulipClient, _ cursor: ZulipCursor?, _ queue: ZulipQueue?, now: Moment) {
            (self.client, self.queue, stored) = (client, queue, now)
            book = cursor.map { ZulipBook(cursor: $0) }
        }
    }

    func watch(_ target: MonitorTarget, host: any MonitorHost) async throws {
        let watch = try start(target)
        do {
            try await follow(watch, host)
        } catch is CancellationError {
            await end(target, watch)
            throw CancellationError()
        } catch {
            if let queue = watch.queue {
                queues.keep(queue, of: target.registration, for: watch.client.authorization)
            }
            throw error
        }
    }

    private func start(_ target: MonitorTarget) throws -> Watch {
        guard let username = target.credentials["username"]?.exposed, !username.isEmpty,
            let key = target.credentials["apiKey"]?.exposed, !key.isEmpty
        else { throw MonitorFailure(.authFailed, "the registration has no username or no apiKey") }
        var cursor: ZulipCursor?
        if let stored = target.cursor {
            guard let decoded = ZulipCursor(stored) else {
                throw MonitorFailure(.cursorInvalid, "the stored cursor is not one of the zulip monitor")
            }
            cursor = decoded
        }
        let hash = target.registration.text.utf8.reduce(5381) { $0 &* 33 &+ UInt64($1) }
        let client = ZulipClient(
            calls: calls, polls: polls[Int(hash % UInt64(Self.pollPools))], time: time, longPoll: settings.longPoll,
            authorization: Secret("Basic " + Array("\(username):\(key)".utf8).base64))
        let queue = queues.session(of: target.registration, for: client.authorization)
        return Watch(client, cursor, cursor == nil ? nil : queue, now: time.now)
    }

    /// Deletes the queue, so that they do not pile up.
    private func end(_ target: MonitorTarget, _ watch: Watch) async {
        queues.drop(target.registration)
        guard let queue = watch.queue else { return }
        await uncancelled { [client = watch.client] in
            do {
                try await client.delete(queue)
            } catch {
                // The server forgets it by itself, ten minutes after the last call.
            }
        }
    }

    private func follow(_ watch: Watch, _ host: any MonitorHost) async throws {
        // A queue of an interrupted watch is asked first what it has.
        var isHanging = false
        if watch.queue == nil {
            try await register(watch, host)
            isHanging = true
            host.watching()
        }
        while true {
            let began = time.now
            var count = 0
            do {
                count = try await step(watch, host, isHanging: isHanging)
            } catch is ZulipQueueGone {
                watch.queue = nil
                try await register(watch, host)
            }
            if !isHanging { host.watching() }
            host.heard()
            // A server that answers nothing at once must not be asked without end.
            if isHanging, count == 0, time.now - began < settings.longPoll / 4 {
                try await time.sleep(for: .seconds(1))
            }
            isHanging = true
        }
    }

    /// Registers a queue, and catches up with what happened before it.
    private func register(_ watch: Watch, _ host: any MonitorHost) async throws {
        let user = try await watch.client.user()
        if let cursor = watch.book?.cursor, cursor.user != user {
            throw MonitorFailure(.cursorInvalid, "the stored cursor is one of another account")
        }
        let (queue, newest) = try await watch.client.register(user: user)
        watch.queue = queue
        if let old = watch.book {
            var book = old
            let (unread, isComplete) = try await watch.client.unread(from: book.anchor)
            let changes = book.catchUp(unread, isComplete: isComplete, newest: newest, queue.channels)
            try await host.emit(changes, before: old.cursor.encoded, after: book.cursor.encoded)
            watch.book = book
        } else {
            let cursor = ZulipCursor(user: user, newest: newest)
            try await host.emit(MonitorBatch(cursor: cursor.encoded))
            watch.book = ZulipBook(cursor: cursor, isBaseline: true)
        }
        watch.stored = time.now
    }

    /// One call for events and what they mean. Returns how many there were, heartbeats among them.
    private func step(_ watch: Watch, _ host: any MonitorHost, isHanging: Bool) async throws -> Int {
        guard var queue = watch.queue, let old = watch.book else { return 0 }
        let events = try await watch.client.events(queue, isHanging: isHanging)
        var book = old
        let changes = book.take(events, &queue.channels)
        queue.last = max(queue.last, events.compactMap { $0["id"]?.integer }.max() ?? queue.last)
        // Every message of every channel moves the cursor: it is stored when it matters, and now and then.
        if !changes.isEmpty || (book != old && time.now - watch.stored >= settings.cursorAge) {
            try await host.emit(changes, before: old.cursor.encoded, after: book.cursor.encoded)
            watch.stored = time.now
        }
        // Only now: after a crash before, the queue brings the same events again.
        (watch.book, watch.queue) = (book, queue)
        return events.count
    }
}
