internal import Base
internal import Gateway
internal import MonitorTools

/// Watches inboxes in Exchange Online by Microsoft Graph's delta queries, asked again and again, and where Graph can
/// call the gateway, when it says that there is something.
final class GraphMonitor: InboundMonitor {
    /// Whose token it is.
    enum Access: Sendable {
        /// The app's own, for all mailboxes.
        case service(TokenGrant)
        /// The owner's.
        case own(TokenGrants, OAuthSettings)
    }

    struct Settings: Sendable {
        var upstream = ""
        var poll: Duration = .seconds(30)
        /// The same while Graph tells by itself.
        var notifiedPoll: Duration = .seconds(300)
        /// What stands behind an account's name to be its address; nil where names are addresses.
        var mailboxDomain: String?
        /// Registrations may name a mailbox that is not their account's own.
        var allowsAnyMailbox = false
    }

    /// From one round to the next, however much Graph tells: far from its limit of 10,000 requests in ten minutes.
    static let gap: Duration = .seconds(1)
    /// Messages of a page.
    static let pageSize = 100
    private static let fields = "subject,from,receivedDateTime,isRead,internetMessageId"

    let settings: Settings
    private let access: Access
    private let http: MonitorHTTP
    private let time: any TimeSource
    /// Nil where Graph does not call.
    private let notices: GraphNotices?

    init(
        _ settings: Settings, _ access: Access, http: MonitorHTTP, time: any TimeSource, notices: GraphNotices? = nil
    ) {
        (self.settings, self.access, self.http, self.time) = (settings, access, http, time)
        self.notices = notices
    }

    var upstream: String { settings.upstream }

    var credentialFields: [CredentialField] {
        switch access {
        case .service:
            settings.allowsAnyMailbox ? [CredentialField("mailbox", isSecret: false, isRequired: false)] : []
        case .own(_, let oauth): oauth.credentialFields
        }
    }

    func fault(in credentials: [String: Secret], of account: AccountID) -> CredentialFault? {
        if case .own(_, let oauth) = access { return oauth.fault(in: credentials) }
        return nil
    }

    /// Where Graph calls; nil where it does not.
    var notificationURL: String? { notices?.url }

    func run() async throws {
        if let notices { try await notices.run() }
        while true { try await time.sleep(for: .seconds(86_400)) }
    }

    func receive(_ call: InboundCall, desk: any InboundDesk) async throws -> InboundAnswer {
        // As for an app that takes no calls.
        guard let notices else { throw InboundRefusal(.unauthorized, "the caller is not known here") }
        return try notices.receive(call)
    }

    func watch(_ target: MonitorTarget, host: any MonitorHost) async throws {
        var cursor: GraphCursor?
        if let stored = target.cursor {
            guard let decoded = GraphCursor(stored) else {
                throw MonitorFailure(.cursorInvalid, "the stored cursor is not one of the graph monitor")
            }
            cursor = decoded
        }
        let (grant, user) = try grant(of: target, host)
        var plan = SubscriptionPlan()
        let bell = GraphBell()
        defer { if let id = plan.id { notices?.end(id, grant) } }
        var isFirst = true
        // The first look tells whether the mailbox can be read at all.
        var isLookDue = true
        while true {
            if isLookDue { cursor = try await round(cursor, grant, user, host) }
            host.heard()
            if isFirst { host.watching() }
            isFirst = false
            let looked = time.now
            isLookDue = try await notices?.keep(&plan, of: user, grant, bell) ?? false
            // What came about before there was a subscription was told to nobody.
            if isLookDue { continue }
            try await wait(from: looked, &plan, bell)
            isLookDue = true
        }
    }

    /// Returns when it is time for another look.
    private func wait(from looked: Moment, _ plan: inout SubscriptionPlan, _ bell: GraphBell) async throws {
        // Spread, so that thousands that started together do not ask together for ever.
        let pace = (plan.id == nil ? settings.poll : settings.notifiedPoll) * Double.random(in: 0.9...1.1)
        guard let notices else { return try await time.sleep(until: looked + pace) }
        try await bell.wait(until: min(looked + pace, max(plan.due, looked + Self.gap)), time)
        try await time.sleep(until: looked + Self.gap)
        let heard = bell.take()
        if let id = heard.removed, id == plan.id {
            notices.forget(id)
            plan.drop()
        }
        if heard.reauthorize != nil, heard.reauthorize == plan.id { plan.renewNow(time.now) }
    }

    private func grant(of target: MonitorTarget, _ host: any MonitorHost) throws -> (TokenGrant, user: String) {
        switch access {
        case .own(let grants, _): return (try grants.grant(of: target, host: host), "/me")
        case .service(let grant):
            let named = settings.allowsAnyMailbox ? target.credentials["mailbox"]?.exposed : nil
            let account = target.account.text
            let own = account.contains("@") ? account : settings.mailboxDomain.map { "\(account)@\($0)" } ?? account
            let mailbox = named ?? own
            guard mailbox.contains("@"), mailbox.utf8.count <= 320 else {
                throw MonitorFailure(.sourceGone, "the account's name is no mail address: set \"mailboxDomain\"")
            }
            return (grant, "/users/\(mailbox.percentEncoded(keeping: "@"))")
        }
    }

    /// Takes all changes there are now, page by page; each page is stored with its own link, the first run as a whole.
    private func round(
        _ start: GraphCursor?, _ grant: TokenGrant, _ user: String, _ host: any MonitorHost
    ) async throws -> GraphCursor {
        let path = "\(user)/mailFolders/inbox/messages/delta"
        var cursor = start ?? GraphCursor(link: "")
        while true {
            let page = try await page(cursor.link.isEmpty ? path : cursor.link, grant)
            guard page.isLast || page.next != cursor.link else {
                throw MonitorFailure(.protocolViolation, "the server's list of changes does not go on")
            }
            var changes: [MonitorBatch.Change] = []
            for entry in page.entries {
                switch entry {
                case .removed(let id): changes.append(.gone(key: id))
                case .present(let item, _) where start == nil: cursor.note(item.key, received: item.time)
                case .present(let item, isRead: true): changes.append(.seen(key: item.key))
                case .present(let item, isRead: false): if cursor.isNews(item) { changes.append(.new(item)) }
                }
            }
            let isMoved = page.next != cursor.link
            cursor.link = page.next
            if start == nil ? page.isLast : isMoved || !changes.isEmpty {
                try await emit(start == nil ? [] : changes, cursor, host)
            }
            if page.isLast { return cursor }
        }
    }

    private func emit(_ changes: [MonitorBatch.Change], _ cursor: GraphCursor, _ host: any MonitorHost) async throws {
        // A server may send more than was asked for; what is cut is repeated after a crash, and known then.
        let limit = 500
        for start in stride(from: 0, to: max(1, changes.count), by: limit) {
            let part = Array(changes[min(start, changes.count)..<min(start + limit, changes.count)])
            try await host.emit(MonitorBatch(changes: part, cursor: cursor.encoded))
        }
    }

    private func page(_ place: String, _ grant: TokenGrant) async throws -> GraphPage {
        var call = MonitorHTTP.Call("GET", place)
        if place.hasPrefix("/") {
            call.query = [("$select", Self.fields)]
        } else {
            // The token goes to nobody else, whatever a stored link says.
            guard place.hasPrefix(http.base + "/") else {
                throw MonitorFailure(.protocolViolation, "the server's link leads to another server")
            }
        }
        call.headers["Prefer"] = "odata.maxpagesize=\(Self.pageSize)"
        call.accepts = [400, 410]
        let response = try await grant.authorized { [call] token in
            try await http.send(call.authorized(by: token.secret))
        }
        if !(200...299).contains(response.status) { throw refusal(response) }
        return try GraphPage(try MonitorHTTP.json(response))
    }

    /// 400 and 410: a link that is too old (`syncStateNotFound`, `resyncRequired`), or a request it cannot read
    /// (learn.microsoft.com/graph/delta-query-overview).
    private func refusal(_ response: HTTPResponse) -> MonitorFailure {
        let code = (try? JSONParser.parse(response.body))?["error"]?["code"]?.string ?? ""
        let known: Set<String> = ["syncstatenotfound", "syncstateinvalid", "resyncrequired"]
        if response.status == 410 || known.contains(code.lowercased()) {
            return MonitorFailure(.cursorInvalid, "the server has forgotten where we were")
        }
        return MonitorFailure(.protocolViolation, "the server refuses the request: \(code.printable)")
    }
}
