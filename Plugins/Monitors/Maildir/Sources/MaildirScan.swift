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
    static let lookLimit = 500
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

    private struct Candidate {
        let name: MaildirName
        let file: String
        let part: MaildirPart
        /// Seconds since 1970, never later than now.
        let arrival: Int64
        /// By its change time only; its name is older than the watermark.
        let isLate: Bool

        var hash: UInt64 { MaildirCursor.hash(name.unique) }
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
        // `new` before `cur`: a message that moves meanwhile is then in at least one of the lists.
        let names = try MaildirPart.allCases.map { (part: $0, files: try folder.names(in: $0)) }
        var changes = try followed(&known, names, folder)
        var fresh: [Candidate] = []
        for (part, files) in names where part == .new || seen == .flagged {
            fresh += candidates(files, part, folder, known, now, isFirst: isFirst)
        }
        let late = fresh.count(where: \.isLate)
        let news = isFirst ? [] : fresh.filter { !$0.isLate || late <= Self.lateLimit }
            .sorted { ($0.arrival, $0.file) < ($1.arrival, $1.file) }
        for candidate in news.prefix(Self.lookLimit) {
            guard let item = item(candidate, folder) else { continue }
            changes.append(.new(item))
            known.follow(item.key)
        }
        let postponed = Set(news.dropFirst(Self.lookLimit).map(\.hash))
        note(names, fresh.filter { !postponed.contains($0.hash) }, postponed, in: &known)
        if !postponed.isEmpty { lastChange = [:] }
        defer { cursor = known }
        let isNew = isFirst || !changes.isEmpty || known.watermark != cursor?.watermark
        return Outcome(batches: isNew ? batches(changes, known) : [], hasMore: !postponed.isEmpty)
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
        _ files: [String], _ part: MaildirPart, _ folder: some MaildirFolder, _ known: MaildirCursor,
        _ now: Timestamp, isFirst: Bool
    ) -> [Candidate] {
        let recent = Set(known.recent)
        let bound = known.watermark - MaildirCursor.slack
        return files.compactMap { file in
            let name = MaildirName(file)
            let hash = MaildirCursor.hash(name.unique)
            if present?.contains(hash) == true || recent.contains(hash) || name.isSeen || name.isTrashed { return nil }
            // A time in the future must not hide what comes after it.
            if let delivered = name.delivered.map({ min($0, now.seconds) }), delivered > bound {
                return Candidate(name: name, file: file, part: part, arrival: delivered, isLate: false)
            }
            // Its name is old or tells no time; the host that delivered it may have a wrong clock. In `cur` the
            // change time tells of flags and moves only.
            guard part == .new, !isFirst || name.delivered == nil, let arrival = folder.arrival(of: file, in: part),
                arrival > bound
            else { return nil }
            return Candidate(
                name: name, file: file, part: part, arrival: min(arrival, now.seconds), isLate: name.delivered != nil)
        }
    }

    private func item(_ candidate: Candidate, _ folder: some MaildirFolder) -> Item? {
        guard let bytes = folder.beginning(of: candidate.file, in: candidate.part, limit: Self.headerLimit) else {
            // Gone meanwhile: read or deleted. What is there but closed to us still rings, without its words.
            let isThere = folder.arrival(of: candidate.file, in: candidate.part) != nil
            return isThere ? Item(key: candidate.name.unique, time: Timestamp(seconds: candidate.arrival)) : nil
        }
        let digest = MailDigest(parsing: Self.header(bytes))
        return Item(
            key: candidate.name.unique, contentKey: digest.messageID, threadKey: digest.threadRoot,
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
        _ known: inout MaildirCursor, _ names: [(part: MaildirPart, files: [String])], _ folder: some MaildirFolder
    ) throws -> [MonitorBatch.Change] {
        guard !known.unseen.isEmpty else { return [] }
        var places = Self.places(of: known.unseen, names)
        if known.unseen.contains(where: { places[$0] == nil }) {
            // A file whose flags change while its folder is read may be missed: look twice before saying "gone".
            let again = try MaildirPart.allCases.map { (part: $0, files: try folder.names(in: $0)) }
            places.merge(Self.places(of: known.unseen, again)) { _, newer in newer }
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

    private static func places(
        of unseen: [String], _ names: [(part: MaildirPart, files: [String])]
    ) -> [String: (part: MaildirPart, name: MaildirName)] {
        let wanted = Set(unseen)
        var places: [String: (part: MaildirPart, name: MaildirName)] = [:]
        for (part, files) in names {
            for file in files {
                let name = MaildirName(file)
                if wanted.contains(name.unique) { places[name.unique] = (part, name) }
            }
        }
        return places
    }

    /// Moves the watermark and remembers the names near it.
    private mutating func note(
        _ names: [(part: MaildirPart, files: [String])], _ handled: [Candidate], _ postponed: Set<UInt64>,
        in known: inout MaildirCursor
    ) {
        known.watermark = max(known.watermark, handled.map(\.arrival).max() ?? known.watermark)
        let bound = known.watermark - MaildirCursor.slack
        let old = Set(known.recent)
        let arrivals = Dictionary(handled.map { ($0.hash, $0.arrival) }) { first, _ in first }
        var here: Set<UInt64> = []
        var recent: [(arrival: Int64, hash: UInt64)] = []
        for (part, files) in names {
            for file in files {
                let name = MaildirName(file)
                let hash = MaildirCursor.hash(name.unique)
                if postponed.contains(hash) { continue }
                here.insert(hash)
                // In `cur` nothing is new where a move counts as reading.
                guard part == .new || seen == .flagged else { continue }
                let arrival = name.delivered ?? arrivals[hash] ?? (old.contains(hash) ? known.watermark : 0)
                if arrival > bound || (arrivals[hash] ?? 0) > bound { recent.append((arrival, hash)) }
            }
        }
        present = here
        known.recent = recent.sorted { ($0.arrival, $0.hash) < ($1.arrival, $1.hash) }.suffix(MaildirCursor.recentLimit)
            .map(\.hash)
    }

    private func batches(_ changes: [MonitorBatch.Change], _ known: MaildirCursor) -> [MonitorBatch] {
        var batches: [MonitorBatch] = []
        var start = 0
        // The new mark goes with the last batch: after a crash before it, all are found again.
        let before = (cursor ?? known).encoded
        repeat {
            let end = min(start + Self.batchLimit, changes.count)
            batches.append(
                MonitorBatch(changes: Array(changes[start..<end]), cursor: end == changes.count ? known.encoded : before))
            start = end
        } while start < changes.count
        return batches
    }
}
