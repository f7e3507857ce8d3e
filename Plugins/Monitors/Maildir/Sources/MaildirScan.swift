internal import Base
internal import Gateway
internal import Mail

/// Compares a Maildir with what is known of it. Plain values: the folder is a parameter.
struct MaildirScan: Sendable {
    /// When a message counts as read elsewhere.
    enum Seen: String, Sendable, CaseIterable {
        /// As soon as a mail program has moved it to `cur`: somebody's client shows it.
        case moved
        /// Only with the flag `S`.
        case flagged
    }

    /// Bytes of a file that are read for its header.
    static let headerLimit = 16_384
    /// Items of one batch.
    static let batchLimit = 100
    /// Old files that may turn up at once with a new change time and still ring. More are a restore or a
    /// `chown`, not mail.
    static let lateLimit = 20

    /// Messages dealt with in one look; the rest follow in the next, so that a flood takes little memory.
    static let lookLimit = 2_000
    /// A list of names that changed so recently may change again without another time stamp: clocks of file
    /// systems tick slowly.
    static let settling: Int64 = 2

    /// What one look brought.
    struct Outcome: Sendable {
        /// To emit in this order.
        var batches: [MonitorBatch] = []
        /// Whether to look again at once.
        var hasMore = false
    }

    private struct Entry {
        let part: MaildirPart
        let file: String
        let name: MaildirName
        let hash: UInt64

        init(_ part: MaildirPart, _ file: String) {
            (self.part, self.file, name) = (part, file, MaildirName(file))
            hash = MaildirCursor.hash(name.unique)
        }
    }

    private struct Candidate {
        let entry: Entry
        /// Seconds since 1970, never later than now.
        let arrival: Int64
        /// By its change time only; its name is older than the watermark.
        let isLate: Bool
    }

    private let seen: Seen
    private(set) var cursor: MaildirCursor?
    /// Hashes of the names present at the last look, so that each is judged once while we run.
    private var present: Set<UInt64>?
    private var lastChange: [MaildirPart: Int64] = [:]

    init(cursor: MaildirCursor?, seen: Seen) { (self.cursor, self.seen) = (cursor, seen) }

    /// Looks once.
    /// - Parameter thorough: also when the folders' times say that nothing changed.
    /// - Throws: `MaildirError`.
    mutating func look(_ folder: some MaildirFolder, now: Timestamp, thorough: Bool = true) throws -> Outcome {
        guard try hasChanged(folder, now) || thorough else { return Outcome() }
        let isFirst = cursor == nil
        var known = cursor ?? MaildirCursor(watermark: now.seconds)
        let entries = try Self.entries(folder)
        var changes = try followed(&known, entries, folder)
        let fresh = candidates(entries, folder, known, now, isFirst: isFirst)
        let late = fresh.count(where: \.isLate)
        let news =
            isFirst
            ? []
            : fresh.filter { !$0.isLate || late <= Self.lateLimit }
                .sorted { ($0.arrival, $0.entry.file) < ($1.arrival, $1.entry.file) }
        for candidate in news.prefix(Self.lookLimit) {
            guard let item = item(candidate, folder) else { continue }
            changes.append(.new(item))
            known.follow(item.key)
        }
        let postponed = Set(news.dropFirst(Self.lookLimit).map(\.entry.hash))
        note(entries, fresh.filter { !postponed.contains($0.entry.hash) }, postponed, in: &known)
        if !postponed.isEmpty { lastChange = [:] }
        defer { cursor = known }
        let isNew = isFirst || !changes.isEmpty || known.watermark != cursor?.watermark
        return Outcome(batches: isNew ? batches(changes, known) : [], hasMore: !postponed.isEmpty)
    }

    /// All names. `new` before `cur`: a message that moves meanwhile is then in at least one of the lists.
    private static func entries(_ folder: some MaildirFolder) throws -> [Entry] {
        try MaildirPart.allCases.flatMap { part in try folder.names(in: part).map { Entry(part, $0) } }
    }

    /// Whether a list of names may have changed since the last look. Notes the times before the names are read.
    private mutating func hasChanged(_ folder: some MaildirFolder, _ now: Timestamp) throws -> Bool {
        var hasChanged = false
        for part in MaildirPart.allCases {
            let time = folder.changed(part)
            if time == nil || time != lastChange[part] { hasChanged = true }
            let isSettled = time.map { now.seconds - $0 / 1_000_000_000 > Self.settling } ?? false
            lastChange[part] = isSettled ? time : nil
        }
        return hasChanged
    }

    /// Names that were not there at the last look and that the cursor does not know.
    private func candidates(
        _ entries: [Entry], _ folder: some MaildirFolder, _ known: MaildirCursor, _ now: Timestamp, isFirst: Bool
    ) -> [Candidate] {
        let recent = Set(known.recent)
        let bound = known.watermark - MaildirCursor.slack
        return entries.compactMap { entry in
            let name = entry.name
            guard entry.part == .new || seen == .flagged, present?.contains(entry.hash) != true,
                !recent.contains(entry.hash), !name.isSeen, !name.isTrashed
            else { return nil }
            // A time in the future must not hide what comes after it.
            if let delivered = name.delivered.map({ min($0, now.seconds) }), delivered > bound {
                return Candidate(entry: entry, arrival: delivered, isLate: false)
            }
            // Its name is old or tells no time; the host that delivered it may have a wrong clock. In `cur` the
            // change time tells of flags and moves only.
            guard entry.part == .new, !isFirst || name.delivered == nil,
                let arrival = folder.arrival(of: entry.file, in: .new), arrival > bound
            else { return nil }
            return Candidate(entry: entry, arrival: min(arrival, now.seconds), isLate: name.delivered != nil)
        }
    }

    private func item(_ candidate: Candidate, _ folder: some MaildirFolder) -> Item? {
        guard let bytes = folder.beginning(of: candidate.entry.file, in: candidate.entry.part, limit: Self.headerLimit)
        else {
            // Gone meanwhile: read or deleted. What is there but closed to us still rings, without its words.
            let isThere = folder.arrival(of: candidate.entry.file, in: candidate.entry.part) != nil
            return isThere ? Item(key: candidate.entry.name.unique, time: Timestamp(seconds: candidate.arrival)) : nil
        }
        let digest = MailDigest(parsing: Self.header(bytes))
        return Item(
            key: candidate.entry.name.unique, contentKey: digest.messageID, threadKey: digest.threadRoot,
            sender: digest.from?.shown, senderAddress: digest.from?.address,
            title: digest.subject.isEmpty ? nil : digest.subject, time: Timestamp(seconds: candidate.arrival))
    }

    /// The header block without the body.
    static func header(_ bytes: [UInt8]) -> [UInt8] {
        var lineStart = 0
        while let end = bytes[lineStart...].firstIndex(of: 0x0A) {
            let length = end - lineStart
            if length == 0 || (length == 1 && bytes[lineStart] == 0x0D) { return Array(bytes[...end]) }
            lineStart = end + 1
        }
        return bytes
    }

    /// What became of announced messages.
    private func followed(
        _ known: inout MaildirCursor, _ entries: [Entry], _ folder: some MaildirFolder
    ) throws -> [MonitorBatch.Change] {
        guard !known.unseen.isEmpty else { return [] }
        var places = Self.places(of: known.unseen, entries)
        if known.unseen.contains(where: { places[$0] == nil }) {
            // A file whose flags change while its folder is read may be missed: look twice before saying "gone".
            places.merge(Self.places(of: known.unseen, try Self.entries(folder))) { _, newer in newer }
        }
        var changes: [MonitorBatch.Change] = []
        known.unseen.removeAll { unique in
            guard let place = places[unique], !place.name.isTrashed else {
                changes.append(.gone(key: unique))
                return true
            }
            let isSeen = place.name.isSeen || (place.part == .cur && seen == .moved)
            if isSeen { changes.append(.seen(key: unique)) }
            return isSeen
        }
        return changes
    }

    private static func places(of unseen: [String], _ entries: [Entry]) -> [String: Entry] {
        let wanted = Set(unseen)
        return Dictionary(entries.filter { wanted.contains($0.name.unique) }.map { ($0.name.unique, $0) }) { $1 }
    }

    /// Moves the watermark and remembers the names near it.
    private mutating func note(
        _ entries: [Entry], _ handled: [Candidate], _ postponed: Set<UInt64>, in known: inout MaildirCursor
    ) {
        known.watermark = max(known.watermark, handled.map(\.arrival).max() ?? known.watermark)
        let bound = known.watermark - MaildirCursor.slack
        let old = Set(known.recent)
        let arrivals = Dictionary(handled.map { ($0.entry.hash, $0.arrival) }) { first, _ in first }
        let here = entries.filter { !postponed.contains($0.hash) }
        present = Set(here.map(\.hash))
        // In `cur` nothing is new where a move counts as reading.
        let near = here.filter { $0.part == .new || seen == .flagged }.compactMap { entry in
            let arrival =
                arrivals[entry.hash] ?? entry.name.delivered ?? (old.contains(entry.hash) ? known.watermark : 0)
            return arrival > bound ? (arrival: arrival, hash: entry.hash) : nil
        }
        known.recent = near.sorted { $0 < $1 }.suffix(MaildirCursor.recentLimit).map(\.hash)
    }

    private func batches(_ changes: [MonitorBatch.Change], _ known: MaildirCursor) -> [MonitorBatch] {
        var batches: [MonitorBatch] = []
        var start = 0
        // The new mark goes with the last batch: after a crash before it, all are found again.
        let before = (cursor ?? known).encoded
        repeat {
            let end = min(start + Self.batchLimit, changes.count)
            batches.append(
                MonitorBatch(
                    changes: Array(changes[start..<end]), cursor: end == changes.count ? known.encoded : before))
            start = end
        } while start < changes.count
        return batches
    }
}
