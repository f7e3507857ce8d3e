internal import Base
internal import XML

/// The fake's state and what it does with requests, on the server's thread.
final class ExchangeCore: Sendable {
    struct Subscription: Sendable {
        let mailbox: String
        let server: String
        var hasNews = false
    }

    struct Hanging: Sendable {
        let stream: PeerStream
        let caller: String
        let ids: [String]
    }

    struct State {
        var mailboxes: [String: FakeMailbox] = [:]
        var subscriptions: [String: Subscription] = [:]
        var streams: [Hanging] = []
        var faults: [String: [FakeExchange.Fault]] = [:]
        var standing: FakeExchange.Fault?
        var isSilent = false
        var isDown = false
        var isStopped = false
        var talksNonsense = false
        var losesWakeUps = false
        var ntlm = NTLMAcceptor()
        var attempts = 0
        var violations: [String] = []
        var operations: [String: Int] = [:]
        /// Part of every cookie and subscription id.
        var generation = 1
        var lastID = 0
        var largestStream = 0
    }

    let options: FakeExchange.Options
    let state = Locked(State())

    init(_ options: FakeExchange.Options) { self.options = options }

    func hanging() -> [Hanging] {
        state.withLock { state in
            state.streams.removeAll { !$0.stream.isOpen }
            return state.streams
        }
    }

    /// Changes a mailbox and tells those who wait for its events.
    func change<Result: Sendable>(
        _ mailbox: String, event: String, _ body: (inout FakeMailbox) -> Result
    ) -> Result {
        let (result, told) = state.withLock { state -> (Result, [(PeerStream, String)]) in
            let result = body(&state.mailboxes[mailbox, default: FakeMailbox()])
            guard !state.losesWakeUps, !state.isSilent else { return (result, []) }
            var told: [(PeerStream, String)] = []
            for (id, subscription) in state.subscriptions where subscription.mailbox == mailbox {
                let open = state.streams.first { $0.stream.isOpen && $0.ids.contains(id) }
                if let open { told.append((open.stream, id)) } else { state.subscriptions[id]?.hasNews = true }
            }
            return (result, told)
        }
        for (stream, id) in told {
            stream.send(ExchangeWriter.streaming([ExchangeWriter.notification(id, event: event)]))
        }
        return result
    }

    // MARK: Requests

    func answer(_ request: PeerRequest) -> PeerReply {
        let (isDown, isSilent, isNonsense) = state.withLock { ($0.isDown, $0.isSilent, $0.talksNonsense) }
        if isDown { return PeerReply(.drop) }
        if isSilent { return PeerReply(.hang) }
        let caller: String
        switch login(request) {
        case .success(let name): caller = name
        case .failure(let refusal): return refusal.reply
        }
        if isNonsense { return Self.xml(200, Array("<soap:Envelope xmlns:soap='nobody'><oops></soap".utf8)) }
        do {
            let call = try ExchangeCall(request, caller: caller, service: options.serviceUser)
            state.withLock { $0.operations[call.operation, default: 0] += 1 }
            if let fault = nextFault(call.operation) { return reply(fault, to: call.operation) }
            return try perform(call)
        } catch let error as ExchangeRefusal {
            state.withLock { $0.violations.append(error.reason) }
            return Self.xml(500, ExchangeWriter.fault(error.code, backOffMilliseconds: nil))
        } catch {
            state.withLock { $0.violations.append("no XML: \(error)") }
            return .answer(400)
        }
    }

    static func xml(_ status: Int, _ body: [UInt8], cookie: String? = nil) -> PeerReply {
        var headers: HTTPFields = ["Content-Type": "text/xml; charset=utf-8"]
        if let cookie { headers.append("Set-Cookie", "X-BackEndOverrideCookie=\(cookie); path=/; HttpOnly") }
        return .answer(status, headers: headers, body: body)
    }

    private func nextFault(_ operation: String) -> FakeExchange.Fault? {
        state.withLock { state in
            if state.faults[operation]?.isEmpty == false { return state.faults[operation]?.removeFirst() }
            return state.standing
        }
    }

    private func reply(_ fault: FakeExchange.Fault, to operation: String) -> PeerReply {
        switch fault {
        case .soap(let code, let pause): Self.xml(500, ExchangeWriter.fault(code, backOffMilliseconds: pause))
        case .response(let code): Self.xml(200, ExchangeWriter.response(operation, [(code, [])]))
        case .http(let status, let seconds):
            .answer(status, headers: seconds.map { ["Retry-After": "\($0)"] } ?? [:], body: Array("no".utf8))
        }
    }

    // MARK: Logins

    private struct Refusal: Error { let reply: PeerReply }

    private func refusal(_ challenge: String) -> Result<String, Refusal> {
        .failure(Refusal(reply: .answer(401, headers: ["WWW-Authenticate": challenge])))
    }

    private func login(_ request: PeerRequest) -> Result<String, Refusal> {
        let header = request.headers["Authorization"]
        switch options.login {
        case .basic:
            state.withLock { $0.attempts += 1 }
            guard let header, header.hasPrefix("Basic "), let bytes = [UInt8](base64: String(header.dropFirst(6)))
            else { return refusal("Basic realm=\"exchange\"") }
            let parts = String(decoding: bytes, as: UTF8.self).split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[1] == options.password else { return refusal("Basic realm=\"exchange\"") }
            return .success(String(parts[0].split(separator: "\\").last ?? ""))
        case .bearer:
            state.withLock { $0.attempts += 1 }
            guard header == "Bearer \(options.password)" else { return refusal("Bearer") }
            return .success(options.serviceUser)
        case .ntlm:
            let verdict = state.withLock { state in
                state.ntlm.judge(header, connection: request.connection) { !$0.isEmpty }
            }
            switch verdict {
            case .user(let name):
                if header != nil { state.withLock { $0.attempts += 1 } }
                return .success(name)
            case .challenge(let text): return refusal(text)
            case .refused:
                state.withLock { $0.attempts += 1 }
                return refusal("NTLM")
            }
        }
    }
}
