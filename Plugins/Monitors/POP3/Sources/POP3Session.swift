internal import Base
internal import Gateway
internal import MailMonitoring

/// One authenticated connection that looks at a mailbox once: what to send, emit and wait for (RFC 1939). A mailbox is
/// a snapshot while a connection has it open, so what comes meanwhile is the next connection's.
struct POP3Session: Sendable {
    struct Options: Sendable {
        /// From a command to its answer, and between two pieces of a long one.
        var commandTimeout = Duration.seconds(30)
        /// From the first command to the last answer.
        var sessionTimeout = Duration.seconds(900)
        /// Items of one batch; more are emitted in several.
        var batchLimit = 100
        /// Messages that a list may name; a server that names more is given up.
        var listLimit = 250_000
    }

    enum Action: Sendable, Hashable {
        case send([UInt8])
        /// Hand over to the host, and read no further until it has it.
        case emit(MonitorBatch)
        /// The mailbox was looked at; nothing follows.
        case finish
        /// The session is over; nothing follows.
        case fail(MonitorFailure)
    }

    enum Phase: String, Sendable { case capabilities, list, header, farewell, ended }

    /// Bytes of the longest line kept; of a longer one, such as a subject of 200 kB, the beginning.
    private static let lineLimit = 8_192
    /// Bytes kept of one header.
    private static let headerLimit = 65_536

    private let options: Options
    private let readHeader: @Sendable ([UInt8]) -> MessageHeader
    private let start: Moment
    private(set) var cursor: POP3Cursor?
    private(set) var phase = Phase.capabilities
    /// When to call `deadlinePassed`.
    private(set) var deadline: Moment
    /// The least time between two logins that the server wants (RFC 2449 section 6.6).
    private(set) var loginDelay = Duration.zero

    private var splitter = LineSplitter(limit: lineLimit)
    /// The answer's first line was `+OK`, and further lines follow up to a dot.
    private var isInside = false
    private var list: [POP3Cursor.Entry] = []
    /// Indices into `list` of what is still to be looked at, last first.
    private var news: [Int] = []
    private var header: [UInt8] = []
    private var changes: [MonitorBatch.Change] = []

    init(
        cursor: POP3Cursor?, options: Options, now: Moment,
        readHeader: @escaping @Sendable ([UInt8]) -> MessageHeader
    ) {
        (self.cursor, self.options, self.readHeader, start) = (cursor, options, readHeader, now)
        deadline = now + options.commandTimeout
    }

    /// The connection is logged in.
    mutating func begin(_ now: Moment) -> [Action] { send("CAPA", .capabilities, now) }

    /// Bytes came.
    mutating func received(_ bytes: [UInt8], _ now: Moment) -> [Action] {
        guard phase != .ended else { return [] }
        deadline = min(now + options.commandTimeout, start + options.sessionTimeout)
        var actions: [Action] = []
        for piece in splitter.feed(bytes) where phase != .ended {
            switch piece {
            case .line(let line), .cut(let line): actions += take(line, now)
            }
        }
        return actions
    }

    /// The server closed the connection, or it broke.
    mutating func disconnected(_ reason: String) -> [Action] {
        switch phase {
        case .ended: []
        // All was said.
        case .farewell: end()
        default: fail(.network, reason)
        }
    }

    /// The host has the batch emitted last; the time it took is not the server's silence.
    mutating func committed(_ now: Moment) { deadline = now + options.commandTimeout }

    /// `deadline` came.
    mutating func deadlinePassed() -> [Action] {
        switch phase {
        case .ended: []
        case .farewell: end()
        default: fail(.network, "the server did not answer in time (\(phase.rawValue))")
        }
    }

    // MARK: Lines

    private mutating func take(_ line: [UInt8], _ now: Moment) -> [Action] {
        if isInside {
            guard line == [0x2E] else {
                return inside(line.first == 0x2E ? line.dropFirst() : line[...])
            }
            isInside = false
            return answered(true, now)
        }
        let isGood = line.starts(with: Array("+OK".utf8))
        guard isGood || line.starts(with: Array("-ERR".utf8)) else {
            return fail(.protocolViolation, "an answer is neither +OK nor -ERR")
        }
        if isGood && phase != .farewell {
            isInside = true
            return []
        }
        if phase == .list {
            // What the server says may quote anything, but here it knows of no mail text.
            let words = ServerWords.clean(String(decoding: line.prefix(200), as: UTF8.self))
            let isTemporary = words.uppercased().contains("[SYS/TEMP]") || words.uppercased().contains("[IN-USE]")
            return fail(isTemporary ? .network : .protocolViolation, "the server answered UIDL with \(words)")
        }
        return answered(isGood, now)
    }

    /// A line of an answer that goes on.
    private mutating func inside(_ line: ArraySlice<UInt8>) -> [Action] {
        switch phase {
        case .capabilities:
            let words = String(decoding: line.prefix(256), as: UTF8.self).uppercased().split(separator: " ")
            if words.count >= 2, words[0] == "LOGIN-DELAY", let seconds = Int64(words[1]), seconds > 0 {
                loginDelay = .seconds(min(seconds, 86_400))
            }
        case .list:
            let parts = line.split(separator: 0x20, maxSplits: 1)
            guard parts.count == 2, let number = Int(String(decoding: parts[0], as: UTF8.self)), number > 0 else {
                return fail(.protocolViolation, "a line of the list is not a number and an id")
            }
            guard list.count < options.listLimit else {
                return fail(.protocolViolation, "the list names more than \(options.listLimit) messages")
            }
            list.append(POP3Cursor.Entry(number: number, digest: POP3Cursor.digest(parts[1].prefix { $0 != 0x20 })))
        case .header:
            if header.count + line.count + 2 <= Self.headerLimit { header += line + [0x0D, 0x0A] }
        case .farewell, .ended: break
        }
        return []
    }

    /// The answer to the command under way is complete.
    private mutating func answered(_ isGood: Bool, _ now: Moment) -> [Action] {
        switch phase {
        case .capabilities: return send("UIDL", .list, now)
        case .list: return listed(now)
        case .header: return headed(isGood, now)
        case .farewell: return end()
        case .ended: return []
        }
    }

    // MARK: News

    private mutating func listed(_ now: Moment) -> [Action] {
        list.sort { $0.number < $1.number }
        guard let known = cursor else {
            // The mailbox as it is rings for nothing.
            let baseline = POP3Cursor(list)
            cursor = baseline
            return [.emit(MonitorBatch(cursor: baseline.encoded))] + leave(now)
        }
        changes = cursor?.takeGone(list).map { .gone(key: POP3Cursor.key($0)) } ?? []
        switch known.news(in: list) {
        case .messages(let indices): news = indices.reversed()
        case .rebuilt:
            let item = Item(
                key: "rebuilt/\(POP3Cursor.key(list.last?.digest ?? 0))",
                title: "The mailbox was rebuilt; it may hold new messages")
            changes.append(.new(item))
        }
        return next(now)
    }

    private mutating func next(_ now: Moment) -> [Action] {
        if let index = news.last { return send("TOP \(list[index].number) 0", .header, now) }
        let old = cursor
        cursor?.learn(list)
        defer { changes = [] }
        let isChanged = !changes.isEmpty || old != cursor
        return (isChanged ? [emission()] : []) + leave(now)
    }

    private mutating func headed(_ isGood: Bool, _ now: Moment) -> [Action] {
        guard let index = news.popLast() else { return [] }
        let digest = list[index].digest
        // Without TOP, or where a message went meanwhile, it rings without sender and subject.
        let header = isGood ? readHeader(self.header) : MessageHeader()
        self.header = []
        changes.append(
            .new(
                Item(
                    key: POP3Cursor.key(digest), contentKey: header.messageID,
                    threadKey: header.threadID ?? header.messageID, sender: header.senderName ?? header.senderAddress,
                    senderAddress: header.senderAddress, title: header.subject, time: header.date)))
        cursor?.follow(digest)
        guard changes.count >= options.batchLimit else { return next(now) }
        let full = emission()
        changes = []
        return [full] + next(now)
    }

    private func emission() -> Action { .emit(MonitorBatch(changes: changes, cursor: cursor?.encoded ?? [])) }

    // MARK: Ends

    private mutating func leave(_ now: Moment) -> [Action] { send("QUIT", .farewell, now) }

    private mutating func send(_ command: String, _ phase: Phase, _ now: Moment) -> [Action] {
        self.phase = phase
        deadline = min(now + options.commandTimeout, start + options.sessionTimeout)
        return [.send(Array("\(command)\r\n".utf8))]
    }

    private mutating func end() -> [Action] {
        phase = .ended
        return [.finish]
    }

    private mutating func fail(_ code: MonitorFailure.Code, _ message: String) -> [Action] {
        phase = .ended
        return [.fail(MonitorFailure(code, message))]
    }
}
