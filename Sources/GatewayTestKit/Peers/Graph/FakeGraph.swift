package import Base

/// A strict fake of Microsoft Graph's delta query of an inbox's messages and its subscriptions, with its token endpoint
/// (learn.microsoft.com/graph/api/message-delta). Notes in `violations` what requests have wrong.
package final class FakeGraph: Sendable {
    private struct State {
        var log: [(id: String, isRemoved: Bool)] = []
        var messages: [String: (news: TestNews, isRead: Bool)] = [:]
        var tokens = OAuthTokens()
        var tokenRequests = 0
        var violations: [String] = []
        var generation = 1
        var isSilent = false
        var isDown = false
        var talksNonsense = false
        var throttle: Int?
        var lastID = 0
        var subscriptions = GraphSubscriptions()
    }

    /// What every client shows, and the refresh token that is good.
    package static let clientID = "farbell"
    package static let clientSecret = "app-secret-value"
    package static let refreshToken = "refresh-token-value"
    package static let mailbox = "alice@example.org"

    private let core: Locked<State>
    private let peer: HTTPPeer

    /// - Parameter time: what subscriptions end by.
    /// - Throws: `PeerError`.
    package init(time: any TimeSource = SystemTime()) throws {
        let core = Locked(State())
        self.core = core
        let port = Locked(0)
        peer = try HTTPPeer(name: "graph", identity: nil) {
            Self.answer($0, core, port: port.withLock { $0 }, now: time.timestamp)
        }
        let bound = peer.port
        port.withLock { $0 = bound }
    }

    deinit { stop() }

    package func stop() { peer.stop() }
    package var url: String { "http://127.0.0.1:\(peer.port)/v1.0" }
    package var tokenURL: String { "http://127.0.0.1:\(peer.port)/tenant/oauth2/v2.0/token" }
    package var tokenRequests: Int { core.withLock { $0.tokenRequests } }
    package var violations: [String] { core.withLock { $0.violations } }

    package func deliver(_ news: TestNews) {
        core.withLock { state in
            state.lastID += 1
            let id = "AAMkAGI2" + String(repeating: "y", count: 100) + "\(state.lastID)="
            state.messages[id] = (news, false)
            state.log.append((id, false))
        }
    }

    package func markRead(_ id: String) { touch(id) { $0.isRead = true } }

    /// A change that is none of reading, such as a flag.
    package func touch(_ id: String) { touch(id) { _ in } }

    private func touch(_ id: String, _ change: (inout (news: TestNews, isRead: Bool)) -> Void) {
        core.withLock { state in
            guard var message = state.messages[id] else { return }
            change(&message)
            state.messages[id] = message
            state.log.append((id, false))
        }
    }

    package func remove(_ id: String) {
        core.withLock { state in
            if state.messages.removeValue(forKey: id) != nil { state.log.append((id, true)) }
        }
    }

    /// The ids of all messages there are.
    package var ids: [String] { core.withLock { Array($0.messages.keys) } }
    /// All links given out mean nothing any more.
    package func forgetLinks() { core.withLock { $0.generation += 1 } }
    /// All access tokens are void.
    package func revokeTokens() { core.withLock { $0.tokens.revokeAll() } }
    package func setSilent(_ silent: Bool) { core.withLock { $0.isSilent = silent } }
    package func setNonsense(_ nonsense: Bool) { core.withLock { $0.talksNonsense = nonsense } }
    package func setThrottle(_ seconds: Int?) { core.withLock { $0.throttle = seconds } }
    package func setRunning(_ running: Bool) async throws {
        core.withLock { $0.isDown = !running }
        if !running { try await peer.listener.dropConnections() }
    }

    // MARK: Subscriptions

    package var subscriptionCounts: SubscriptionCounts { core.withLock { $0.subscriptions.counts } }
    /// Those there are, even if their time is over.
    package var subscriptions: [String] { core.withLock { Array($0.subscriptions.entries.keys) } }
    package func setRefusesSubscriptions(_ refuses: Bool) { core.withLock { $0.subscriptions.isRefusing = refuses } }
    package func dropSubscription(_ id: String) { core.withLock { $0.subscriptions.entries[id] = nil } }
    func clientState(of id: String) -> String? { core.withLock { $0.subscriptions.entries[id]?.clientState } }

    private static func subscription(_ request: PeerRequest, _ state: inout State, now: Timestamp) -> PeerReply {
        let parts = request.path.split(separator: "/")
        do throws(GraphViolation) {
            let (status, answer) = try state.subscriptions.answer(
                request, id: parts.count > 2 ? String(parts[2]) : nil, now: now)
            return status == 204 ? .answer(204) : json(status, answer)
        } catch {
            state.violations.append(error.text)
            return Self.error(400, "InvalidRequest")
        }
    }

    // MARK: Answers

    private static func answer(
        _ request: PeerRequest, _ core: Locked<State>, port: Int, now: Timestamp
    ) -> PeerReply {
        core.withLock { state in
            if state.isDown { return PeerReply(.drop) }
            if state.isSilent { return PeerReply(.hang) }
            if request.path == "/tenant/oauth2/v2.0/token" { return token(request, &state) }
            guard case .good = state.tokens.judge(request.headers["Authorization"], now: SystemTime().timestamp) else {
                return error(401, "InvalidAuthenticationToken")
            }
            if let seconds = state.throttle {
                return .answer(429, headers: ["Retry-After": "\(seconds)"], body: Array("{}".utf8))
            }
            if state.talksNonsense { return .answer(200, body: Array(#"{"value":[{"id":"#.utf8)) }
            if request.path.hasPrefix("/v1.0/subscriptions") { return subscription(request, &state, now: now) }
            return delta(request, &state, base: "http://127.0.0.1:\(port)")
        }
    }

    private static func json(_ status: Int, _ json: JSON) -> PeerReply {
        .answer(status, headers: ["Content-Type": "application/json"], body: json.serializedBytes)
    }

    private static func error(_ status: Int, _ code: String) -> PeerReply {
        json(status, .object(["error": .object(["code": .string(code), "message": .string("It did not work.")])]))
    }

    private static func token(_ request: PeerRequest, _ state: inout State) -> PeerReply {
        state.tokenRequests += 1
        guard WebForm.isForm(request), let form = WebForm.parse(request.body), form["client_id"] == clientID,
            form["client_secret"] == clientSecret
        else { return json(401, .object(["error": .string("invalid_client")])) }
        switch form["grant_type"] {
        case "client_credentials" where form["scope"]?.hasSuffix("/.default") == true: break
        case "refresh_token" where form["refresh_token"] == refreshToken: break
        default: return json(400, .object(["error": .string("invalid_grant")]))
        }
        let token = state.tokens.give("graph-", owner: clientID, life: 3600, now: SystemTime().timestamp)
        return json(
            200,
            .object(["token_type": .string("Bearer"), "expires_in": .integer(3600), "access_token": .string(token)]))
    }

    private static func delta(_ request: PeerRequest, _ state: inout State, base: String) -> PeerReply {
        let parts = request.path.split(separator: "?", maxSplits: 1)
        let folder = "/mailFolders/inbox/messages/delta"
        let path = String(parts[0])
        guard request.method == "GET", ["/v1.0/me\(folder)", "/v1.0/users/\(mailbox)\(folder)"].contains(path) else {
            state.violations.append("\(request.method) \(path)")
            return error(404, "ErrorItemNotFound")
        }
        let query = parts.count == 2 ? String(parts[1]) : ""
        var place = 0
        if query.hasPrefix("%24select=") {
            guard query.contains("isRead"), query.contains("receivedDateTime") else {
                state.violations.append("no fields selected")
                return error(400, "ErrorInvalidUrlQuery")
            }
        } else {
            let numbers = query.split(separator: "=").last?.split(separator: "-").compactMap { Int($0) } ?? []
            guard query.hasPrefix("$deltatoken=") || query.hasPrefix("$skiptoken="), numbers.count == 2 else {
                state.violations.append("the query \(query)")
                return error(400, "ErrorInvalidUrlQuery")
            }
            guard numbers[0] == state.generation else { return error(410, "syncStateNotFound") }
            place = numbers[1]
        }
        let size = request.headers["Prefer"]?.split(separator: "=").last.flatMap { Int($0) } ?? 10
        let end = min(place + size, state.log.count)
        let isLast = end == state.log.count
        let kind = isLast ? "delta" : "next"
        let link = "\(base)\(path)?$\(isLast ? "deltatoken" : "skiptoken")=\(state.generation)-\(end)"
        let entries = state.log[place..<end].map { entry -> JSON in
            guard let message = state.messages[entry.id] else {
                return .object(["id": .string(entry.id), "@removed": .object(["reason": .string("deleted")])])
            }
            let news = message.news
            let address: JSON = .object([
                "name": .string(news.sender), "address": .string(news.senderAddress),
            ])
            return .object([
                "id": .string(entry.id), "subject": .string(news.subject), "isRead": .bool(message.isRead),
                "receivedDateTime": .string(news.time), "from": .object(["emailAddress": address]),
                "internetMessageId": .string("<\(news.id)@example.org>"),
            ])
        }
        return json(200, .object(["value": .array(entries), "@odata.\(kind)Link": .string(link)]))
    }
}
