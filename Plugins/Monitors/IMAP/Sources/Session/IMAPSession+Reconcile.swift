internal import Base
internal import Gateway
internal import MailMonitoring

/// Bounds that a configuration cannot change.
enum IMAPMonitorLimits {
    /// Servers may log out who idles longer than 30 minutes (RFC 2177).
    static let longestIdle = Duration.seconds(1_740)
    /// An empty batch that only moves `checked` is written no more often than this.
    static let cursorAge = Duration.seconds(3_600)
    /// Messages of a rebuilt mailbox that are looked at, and that are announced one by one.
    static let rebuildLooks = 100
    static let rebuildItems = 20
}

extension IMAPSession {
    /// What one question to the server has brought so far.
    struct Pass: Sendable {
        var changes: [MonitorBatch.Change] = []
        /// New messages whose header did not come with the answer.
        var incomplete: [UInt32] = []
        /// New messages that were dealt with.
        var complete: Set<UInt32> = []
        var highest: UInt32 = 0
        var unreadable = 0
        /// Asked for without headers, after an answer that could not be read.
        var isPlain = false
        /// UIDs that answered a flags comparison, or a search's result.
        var found: [UInt32] = []
        /// Only what changed since the last comparison was asked for; what went is in `vanished`.
        var isDifference = false
        var vanished: [ClosedRange<UInt32>] = []
        var candidates: [(uid: UInt32, item: Item)] = []

        /// UIDs kept; what else there is has bounds of its own.
        var size: Int { incomplete.count + complete.count + found.count + vanished.count }
    }

    /// The header fields a summary needs, cut by the server: a Subject of 200 kB stays there.
    private static let fields =
        "UID FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS "
        + "(FROM SUBJECT DATE MESSAGE-ID LIST-ID IN-REPLY-TO REFERENCES CONTENT-TYPE)]<0.4096>"

    // MARK: After EXAMINE

    mutating func examined(_ time: Instant) -> [Action] {
        // A server without UIDVALIDITY breaks RFC 3501, but one that always says nothing is consistent.
        let validity = serverValidity ?? 0
        guard let cursor, cursor.validity == validity else {
            if let serverNext { return baseline(next: serverNext, time) }
            if exists == 0 { return baseline(next: 1, time) }
            pass = Pass()
            return send("UID FETCH * (UID)", .highest, time)
        }
        return checkNewMail(time)
    }

    /// The mailbox as it is rings for nothing; unless it is a known one that was rebuilt.
    mutating func baseline(next: UInt32, _ time: Instant) -> [Action] {
        let old = cursor
        var new = IMAPCursor(validity: serverValidity ?? 0, next: max(1, next), checked: time.wall)
        guard let old else {
            cursor = new
            return [emission([], time)] + checkNewMail(time)
        }
        new.recent = old.recent
        // Until it is known what to announce, `checked` stays.
        new.checked = old.checked
        cursor = new
        pass = Pass()
        let since = old.checked + .seconds(-86_400)
        return send("UID SEARCH UNSEEN SINCE \(IMAPSyntax.day(since))", .rebuildSearch, time)
    }

    // MARK: New messages

    mutating func checkNewMail(_ time: Instant, plain: Bool = false) -> [Action] {
        guard let cursor else { return [] }
        pass = Pass()
        pass.isPlain = plain
        isDirty = false
        return send("UID FETCH \(cursor.next):* (\(plain ? "UID FLAGS INTERNALDATE" : Self.fields))", .newMail, time)
    }

    mutating func foundNew(_ fetch: IMAPFetch) -> [Action] {
        guard let uid = fetch.uid else {
            // Flags of some message changed; which, is asked for by UID.
            wantsFlags = true
            return []
        }
        // `n:*` names the last message even when it is older than n (RFC 3501 section 6.4.8).
        guard let next = cursor?.next, uid >= next else {
            if case .absent = fetch.header { noteFlags(uid, fetch) }
            return []
        }
        pass.highest = max(pass.highest, uid)
        guard !pass.complete.contains(uid) else { return [] }
        switch fetch.header {
        case .absent:
            if pass.isPlain { break }
            pass.incomplete.append(uid)
            return []
        case .null:
            pass.complete.insert(uid)
            return []
        case .bytes, .oversized: break
        }
        pass.complete.insert(uid)
        guard !fetch.isSeen, !fetch.isDeleted else { return [] }
        announce(uid, fetch)
        return pass.changes.count < options.batchLimit ? [] : [partialEmission()]
    }

    private mutating func announce(_ uid: UInt32, _ fetch: IMAPFetch) {
        guard let item = item(uid, fetch) else { return }
        pass.changes.append(.new(item))
        cursor?.follow(uid)
        cursor?.remember(item.contentKey)
    }

    private func item(_ uid: UInt32, _ fetch: IMAPFetch) -> Item? {
        guard let cursor else { return nil }
        var header = MessageHeader()
        if case .bytes(let bytes) = fetch.header { header = readHeader(bytes) }
        return Item(
            key: cursor.key(uid), contentKey: header.messageID, threadKey: header.threadID ?? header.messageID,
            sender: header.senderName ?? header.senderAddress, senderAddress: header.senderAddress,
            title: header.subject, time: fetch.internalDate.flatMap(IMAPSyntax.timestamp) ?? header.date)
    }

    mutating func newMailAnswered(_ time: Instant) -> [Action] {
        if pass.unreadable > 0 && !pass.isPlain {
            // One message's header broke the answer. Nobody loses a message for that: ask without headers.
            return flush(time) + checkNewMail(time, plain: true)
        }
        for uid in pass.incomplete where !pass.complete.contains(uid) {
            pass.complete.insert(uid)
            announce(uid, IMAPFetch(uid: uid))
        }
        let foundSome = pass.highest > 0
        if foundSome, let next = cursor?.next { cursor?.next = max(next, pass.highest.advancedUID) }
        if let serverNext, let cursor { self.cursor?.next = max(cursor.next, serverNext) }
        serverNext = nil
        emptyPasses = foundSome ? 0 : emptyPasses + 1
        let actions = flush(time)
        if isDirty && emptyPasses < Self.emptyPassLimit { return actions + checkNewMail(time) }
        return actions + (wantsFlags ? checkFlags(time) : finishPass(time))
    }

    // MARK: Flags

    private mutating func checkFlags(_ time: Instant) -> [Action] {
        wantsFlags = false
        guard let cursor, !cursor.unseen.isEmpty else {
            flagsCompared(time)
            return finishPass(time)
        }
        pass = Pass()
        let question = "UID FETCH \(IMAPSyntax.set(cursor.unseen)) (UID FLAGS)"
        guard resyncsQuickly, let modified = cursor.modified else { return send(question, .flags, time) }
        pass.isDifference = true
        return send("\(question) (CHANGEDSINCE \(modified) VANISHED)", .flags, time)
    }

    mutating func foundFlags(_ fetch: IMAPFetch) {
        guard let uid = fetch.uid else {
            wantsFlags = true
            return
        }
        pass.found.append(uid)
        noteFlags(uid, fetch)
    }

    private mutating func noteFlags(_ uid: UInt32, _ fetch: IMAPFetch) {
        guard let cursor, fetch.isSeen || fetch.isDeleted, let index = cursor.unseen.firstIndex(of: uid) else { return }
        self.cursor?.unseen.remove(at: index)
        pass.changes.append(fetch.isSeen ? .seen(key: cursor.key(uid)) : .gone(key: cursor.key(uid)))
    }

    /// - Parameter isComplete: whether what was not answered is not there.
    mutating func flagsAnswered(isComplete: Bool, _ time: Instant) -> [Action] {
        if isComplete && pass.unreadable == 0, let cursor {
            let (found, vanished, isDifference) = (Set(pass.found), pass.vanished, pass.isDifference)
            func isGone(_ uid: UInt32) -> Bool {
                isDifference ? vanished.contains { $0.contains(uid) } : !found.contains(uid)
            }
            for uid in cursor.unseen where isGone(uid) { pass.changes.append(.gone(key: cursor.key(uid))) }
            self.cursor?.unseen.removeAll(where: isGone)
            flagsCompared(time)
        } else {
            fullPassFinished(time)
        }
        let actions = flush(time)
        emptyPasses += 1
        if emptyPasses < Self.emptyPassLimit {
            if isDirty { return actions + checkNewMail(time) }
            if wantsFlags { return actions + checkFlags(time) }
        }
        return actions + finishPass(time)
    }

    /// All flags up to the mailbox's opening are compared. Later changes have higher numbers, and so has whatever came
    /// after it; asking from there again is right, if sometimes too much.
    private mutating func flagsCompared(_ time: Instant) {
        if resyncsQuickly { cursor?.modified = serverModified }
        fullPassFinished(time)
    }

    // MARK: Emission

    private mutating func finishPass(_ time: Instant) -> [Action] {
        let isOld = emitted.map { time.wall - $0.checked >= IMAPMonitorLimits.cursorAge } ?? true
        return (isOld ? [emission([], time)] : []) + wait(time)
    }

    /// Emits what the pass changed, if it changed anything that must be kept.
    private mutating func flush(_ time: Instant) -> [Action] {
        let changes = pass.changes
        pass.changes = []
        guard !changes.isEmpty || emitted?.next != cursor?.next else { return [] }
        return [emission(changes, time)]
    }

    /// A part of a long answer. `next` stays until the answer is complete, since nothing promises the
    /// order of messages; after a crash the host drops what it knows.
    private mutating func partialEmission() -> Action {
        let changes = pass.changes
        pass.changes = []
        emitted = cursor
        return .emit(MonitorBatch(changes: changes, cursor: cursor?.encoded ?? []))
    }

    private mutating func emission(_ changes: [MonitorBatch.Change], _ time: Instant) -> Action {
        cursor?.checked = time.wall
        emitted = cursor
        return .emit(MonitorBatch(changes: changes, cursor: cursor?.encoded ?? []))
    }

    // MARK: A rebuilt mailbox

    /// UIDs mean nothing any more. Messages that came after the last comparison are announced, a few of them one
    /// by one: a migration may have given all of them today's date.
    mutating func rebuildAnswered(refused: Bool, _ time: Instant) -> [Action] {
        if phase == .rebuildSearch {
            let next = cursor?.next ?? 1
            let uids = Array(Set(pass.found)).sorted().filter { $0 < next }
            if pass.unreadable > 0 { return [collapsed(time)] + checkNewMail(time) }
            if refused || uids.isEmpty { return [emission([], time)] + checkNewMail(time) }
            pass = Pass()
            pass.found = Array(uids.suffix(IMAPMonitorLimits.rebuildLooks))
            return send("UID FETCH \(IMAPSyntax.set(pass.found)) (\(Self.fields))", .rebuildFetch, time)
        }
        if pass.candidates.count > IMAPMonitorLimits.rebuildItems || pass.unreadable > 0 {
            return [collapsed(time)] + checkNewMail(time)
        }
        for candidate in pass.candidates.sorted(by: { $0.uid < $1.uid }) {
            pass.changes.append(.new(candidate.item))
            cursor?.follow(candidate.uid)
            cursor?.remember(candidate.item.contentKey)
        }
        return [emission(pass.changes, time)] + checkNewMail(time)
    }

    mutating func foundRebuilt(_ fetch: IMAPFetch) {
        guard let uid = fetch.uid, let cursor, pass.found.contains(uid), !fetch.isSeen, !fetch.isDeleted,
            let arrived = fetch.internalDate.flatMap(IMAPSyntax.timestamp), arrived > cursor.checked,
            let item = item(uid, fetch), !cursor.remembers(item.contentKey),
            !pass.candidates.contains(where: { $0.uid == uid })
        else { return }
        pass.candidates.append((uid, item))
    }

    private mutating func collapsed(_ time: Instant) -> Action {
        let item = Item(
            key: "\(cursor?.validity ?? 0)/rebuilt", title: "The mailbox was rebuilt; it may hold new messages",
            time: time.wall)
        return emission([.new(item)], time)
    }
}
