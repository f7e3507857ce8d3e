internal import Base
internal import Gateway
internal import MonitorTools

/// Compares a user's mail with where the cursor stands.
struct JMAPReconciler: Sendable {
    /// Messages looked at when the server cannot say what changed, and those then announced one by one.
    static let rebuiltLook = 50
    static let rebuiltLimit = 20
    /// How far the server's clock may be behind ours.
    static let clockSlack: Duration = .seconds(120)

    private let client: JMAPClient
    private let session: JMAPSession
    private let wanted: [String]
    private let time: any TimeSource
    private var mailboxes = JMAPMailboxes()
    private(set) var cursor: JMAPCursor?

    init(
        cursor: JMAPCursor?, client: JMAPClient, session: JMAPSession, wanted: [String], time: any TimeSource
    ) {
        // Another account's state says nothing of this one.
        self.cursor = cursor?.account == session.account ? cursor : nil
        (self.client, self.session, self.wanted, self.time) = (client, session, wanted, time)
    }

    /// One step.
    /// - Returns: what to emit, if anything, and whether there is more. The step counts as made once it is emitted:
    ///   emit before the next one, or start anew with the cursor stored last.
    /// - Throws: `MonitorFailure`, `CancellationError`.
    mutating func step() async throws -> (batch: MonitorBatch?, hasMore: Bool) {
        if mailboxes.watched.isEmpty { try await readMailboxes() }
        guard let known = cursor else { return (try await baseline(after: nil), false) }
        let answers = try await client.call(changesMethods(since: known.state), session)
        let changes: JSON
        do {
            changes = try answers.result("c")
        } catch let error as JMAPMethodError {
            // Cyrus calls a state that it has forgotten a wrong argument.
            let isForgotten =
                error.type == "cannotCalculateChanges"
                || (error.type == "invalidArguments" && error.arguments.contains("sinceState"))
            guard isForgotten else { throw error.failure(now: time.now) }
            return (try await baseline(after: known), false)
        }
        guard let state = changes["newState"]?.string, state.utf8.count <= JMAPCursor.stateLimit else {
            throw MonitorFailure(.protocolViolation, "Email/changes tells no newState")
        }
        let hasMore = changes["hasMoreChanges"]?.bool == true
        if state == known.state && hasMore {
            throw MonitorFailure(.protocolViolation, "Email/changes has more changes but no other state")
        }
        let created = try answers.list("n").compactMap(JMAPEmail.init)
        let updated = try answers.list("u").compactMap(JMAPEmail.init)
        if !(created + updated).allSatisfy({ mailboxes.knows($0.mailboxes) }) { try await readMailboxes() }
        let gone = changes["destroyed"]?.array?.compactMap(\.string) ?? []
        let news = Self.inOrder(created.filter { $0.isNews(mailboxes) })
        var next = known
        (next.state, next.time) = (state, time.timestamp)
        next.remember(news.map(\.identifier))
        cursor = next
        guard state != known.state else { return (nil, hasMore) }
        let ended = updated.compactMap(ending) + gone.map { .gone(key: ListCursor.key($0)) }
        return (MonitorBatch(changes: ended + news.map { .new($0.item) }, cursor: next.encoded), hasMore)
    }

    private func changesMethods(since state: String) -> [JMAPClient.Method] {
        func ids(_ path: String) -> JSON {
            ["resultOf": "c", "name": "Email/changes", "path": .string(path)]
        }
        // All in one batch, whose size the host bounds: each change is one of it.
        let limit = min(session.getLimit, 200)
        return [
            .init("Email/changes", "c", ["sinceState": .string(state), "maxChanges": .integer(limit)]),
            .init("Email/get", "n", ["#ids": ids("/created"), "properties": JMAPEmail.newsProperties]),
            .init("Email/get", "u", ["#ids": ids("/updated"), "properties": JMAPEmail.changeProperties]),
        ]
    }

    /// What became of a message that was changed; nil when nothing that matters.
    private func ending(_ email: JMAPEmail) -> MonitorBatch.Change? {
        if !mailboxes.rings(email.mailboxes) { return .gone(key: email.item.key) }
        return email.isSeen ? .seen(key: email.item.key) : nil
    }

    private mutating func readMailboxes() async throws {
        let answers = try await client.call(
            [.init("Mailbox/get", "m", ["ids": .null, "properties": ["id", "name", "role"]])], session)
        mailboxes = try JMAPMailboxes(try answers.list("m"), wanted: wanted)
    }

    // MARK: Beginning anew

    /// Sets a baseline. Where there was one that the server has forgotten, unread mail that came after it rings;
    /// more than a few messages are one.
    private mutating func baseline(after known: JMAPCursor?) async throws -> MonitorBatch {
        // The state first: what comes between it and the query is told once more, and the host knows it.
        var methods: [JMAPClient.Method] = [
            .init("Email/get", "s", ["ids": .array([]), "properties": ["id"]])
        ]
        if let known { methods += Self.lateMethods(mailboxes, since: known.time + (.zero - Self.clockSlack)) }
        let answers = try await client.call(methods, session)
        var fresh = JMAPCursor(account: session.account, state: try answers.state("s"), time: time.timestamp)
        guard let known else {
            cursor = fresh
            return MonitorBatch(cursor: fresh.encoded)
        }
        let late = ((try? answers.list("l")) ?? []).compactMap(JMAPEmail.init)
        let since = known.time + (.zero - Self.clockSlack)
        let news = Self.inOrder(
            late.filter { email in
                // A server may know nothing of the filter.
                let isLate = email.received.map { $0 >= since } ?? false
                return isLate && email.isNews(mailboxes) && !known.remembers(email.identifier)
            })
        fresh.recent = known.recent
        fresh.remember(news.map(\.identifier))
        cursor = fresh
        let changes: [MonitorBatch.Change] =
            news.count > Self.rebuiltLimit ? [.new(rebuilt(fresh.state))] : news.map { .new($0.item) }
        return MonitorBatch(changes: changes, cursor: fresh.encoded)
    }

    private func rebuilt(_ state: String) -> Item {
        Item(
            key: ListCursor.key("rebuilt/\(state)"), title: "The mailbox was rebuilt; it may hold new messages",
            time: time.timestamp)
    }

    private static func lateMethods(_ mailboxes: JMAPMailboxes, since: Timestamp) -> [JMAPClient.Method] {
        // UTCDate without fractions (RFC 8620 section 1.4).
        let date = since.description.prefix(19) + "Z"
        let conditions = mailboxes.watched.sorted().map { id -> JSON in
            ["inMailbox": .string(id), "after": .string(date), "notKeyword": "$seen"]
        }
        let filter: JSON =
            conditions.count == 1 ? conditions[0] : ["operator": "OR", "conditions": .array(conditions)]
        return [
            .init(
                "Email/query", "q",
                [
                    "filter": filter, "sort": [["property": "receivedAt", "isAscending": false]],
                    "limit": .integer(rebuiltLook),
                ]),
            .init(
                "Email/get", "l",
                [
                    "#ids": ["resultOf": "q", "name": "Email/query", "path": "/ids"],
                    "properties": JMAPEmail.newsProperties,
                ]),
        ]
    }

    /// Oldest first.
    private static func inOrder(_ emails: [JMAPEmail]) -> [JMAPEmail] {
        emails.enumerated().sorted { a, b in
            (a.element.received ?? .earliest, a.offset) < (b.element.received ?? .earliest, b.offset)
        }.map(\.element)
    }
}
