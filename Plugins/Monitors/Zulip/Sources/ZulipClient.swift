internal import Base
internal import Gateway
internal import MonitorTools

/// The server does not know our event queue any more, or we are too far behind in it.
struct ZulipQueueGone: Error {}

/// The calls of Zulip's REST API that are needed here (https://zulip.com/api/rest).
struct ZulipClient: Sendable {
    /// Messages of one page, and pages of one catching up.
    static let pageSize = 500, pageLimit = 4

    let calls: MonitorHTTP
    /// Of a pool of its own: a hanging call must not be in the way of others.
    let polls: MonitorHTTP
    let time: any TimeSource
    /// How long the server may let a call for events hang: `event_queue_longpoll_timeout_seconds` is 90 where nobody
    /// changed it.
    let longPoll: Duration
    /// `Basic …`, of the address and the API key (https://zulip.com/api/http-headers).
    let authorization: Secret

    /// The account's own id (https://zulip.com/api/get-own-user).
    func user() async throws -> Int64 {
        guard let id = try await ask(MonitorHTTP.Call("GET", "/api/v1/users/me"))["user_id"]?.integer else {
            throw MonitorFailure(.protocolViolation, "an account without user_id")
        }
        return id
    }

    /// Registers an event queue (https://zulip.com/api/register-queue).
    /// - Returns: the queue, and the id of the newest message.
    func register(user: Int64) async throws -> (queue: ZulipQueue, newest: Int64) {
        var call = MonitorHTTP.Call("POST", "/api/v1/register")
        let capabilities: JSON = [
            "notification_settings_null": true, "bulk_message_deletion": true, "user_settings_object": true,
        ]
        call.carry([
            ("event_types", #"["message","update_message_flags","delete_message","subscription"]"#),
            ("fetch_event_types", #"["message","subscription","user_settings"]"#),
            ("apply_markdown", "false"), ("client_gravatar", "true"), ("include_subscribers", "false"),
            ("client_capabilities", capabilities.serialized),
        ])
        let answer = try await ask(call)
        guard let id = answer["queue_id"]?.string, let last = answer["last_event_id"]?.integer else {
            throw MonitorFailure(.protocolViolation, "an event queue without queue_id")
        }
        let queue = ZulipQueue(id: id, user: user, last: last, channels: ZulipChannels(answer))
        return (queue, answer["max_message_id"]?.integer ?? 0)
    }

    /// Waits for events: news, or a heartbeat.
    /// - Throws: `ZulipQueueGone`, `MonitorFailure`.
    func events(_ queue: ZulipQueue, isHanging: Bool) async throws -> [JSON] {
        var call = MonitorHTTP.Call(
            "GET", "/api/v1/events", query: [("queue_id", queue.id), ("last_event_id", "\(queue.last)")])
        if isHanging {
            call.timeout = longPoll + polls.timeout
        } else {
            call.query.append(("dont_block", "true"))
        }
        let response = try await send(call, over: polls)
        guard let events = try MonitorHTTP.json(response)["events"]?.array else {
            throw MonitorFailure(.protocolViolation, "no list of events")
        }
        return events
    }

    func delete(_ queue: ZulipQueue) async throws {
        var call = MonitorHTTP.Call("DELETE", "/api/v1/events", query: [("queue_id", queue.id)])
        call.timeout = .seconds(5)
        _ = try await send(call, over: calls)
    }

    /// The unread messages from `anchor` on, the oldest first (https://zulip.com/api/get-messages).
    /// - Returns: the messages, and whether there are no more.
    func unread(from anchor: Int64) async throws -> (messages: [ZulipMessage], isComplete: Bool) {
        var messages: [ZulipMessage] = []
        for page in 0..<Self.pageLimit {
            let start = messages.last?.id ?? anchor
            let call = MonitorHTTP.Call(
                "GET", "/api/v1/messages",
                query: [
                    ("anchor", "\(start)"), ("include_anchor", page == 0 ? "true" : "false"), ("num_before", "0"),
                    ("num_after", "\(Self.pageSize)"), ("narrow", #"[{"operator":"is","operand":"unread"}]"#),
                    ("apply_markdown", "false"), ("client_gravatar", "true"),
                ])
            let answer = try await ask(call)
            guard let items = answer["messages"]?.array else {
                throw MonitorFailure(.protocolViolation, "no list of messages")
            }
            messages += items.compactMap { ZulipMessage($0, flags: nil) }
            if answer["found_newest"]?.bool ?? true { return (messages, true) }
        }
        return (messages, false)
    }

    // MARK: Answers

    private func ask(_ call: MonitorHTTP.Call) async throws -> JSON {
        try MonitorHTTP.json(try await send(call, over: calls))
    }

    /// Sends a call and reads Zulip's errors (https://zulip.com/api/rest-error-handling).
    private func send(_ call: MonitorHTTP.Call, over http: MonitorHTTP) async throws -> HTTPResponse {
        var open = call
        open.headers["Authorization"] = authorization.exposed
        open.accepts = [400, 429]
        let response = try await http.send(open)
        if (200...299).contains(response.status) { return response }
        let error = try? JSONParser.parse(response.body)
        if response.status == 429 {
            // The header is in whole seconds; the body's number is exact.
            let told = error?["retry-after"]?.number.map { Duration.seconds(min(max(0, $0), 86_400)) }
            let pause = response.retryAfter(now: time.timestamp) ?? told ?? MonitorHTTP.pause
            throw MonitorFailure(.throttled(until: time.now + pause), "the server answered 429")
        }
        // BAD_EVENT_QUEUE_ID, or "an event newer than … has already been pruned".
        if call.path == "/api/v1/events" { throw ZulipQueueGone() }
        throw MonitorFailure(.protocolViolation, "the server answered \(response.status)")
    }
}

extension MonitorHTTP.Call {
    /// Zulip takes parameters as forms.
    fileprivate mutating func carry(_ form: [(name: String, value: String)]) {
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = Array(
            form.map { "\($0.name.percentEncoded())=\($0.value.percentEncoded())" }.joined(separator: "&").utf8)
    }
}
