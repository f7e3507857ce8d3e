internal import Base
internal import Gateway
internal import MailMonitoring

/// One authenticated connection watching one mailbox: what to send, emit and wait for. It knows neither
/// sockets nor clocks; a driver hands it bytes and times and performs the actions it returns.
///
/// `IDLE` is only a hint. Whatever wakes the session (an `EXISTS`, a timer, the end of an `IDLE`), it asks for
/// all messages from the next UID on, and again as long as an `EXISTS` came meanwhile. Sequence
/// numbers are never kept.
struct IMAPSession: Sendable {
    struct Options: Sendable {
        var mailbox = "INBOX"
        /// From a command to its answer, and between two pieces of a long one.
        var commandTimeout = Duration.seconds(30)
        /// Between two comparisons where the server has no `IDLE`.
        var poll = Duration.seconds(60)
        /// The longest time between two full comparisons, whatever `IDLE` says.
        var reconcile = Duration.seconds(300)
        /// Items of one batch; more are emitted in several.
        var batchLimit = 100
        /// Messages that the answers to one question may name; a server that names more is given up.
        var passLimit = 250_000
    }

    /// A time on both clocks.
    struct Instant: Sendable {
        var now: Moment
        var wall: Timestamp
    }

    enum Action: Sendable {
        case send([UInt8])
        /// Hand over to the host, and read no further until it has it.
        case emit(MonitorBatch)
        case watching
        /// The server answered.
        case heard
        /// The session is over; nothing follows.
        case fail(MonitorFailure)
    }

    enum Phase: Sendable, Equatable {
        case created
        case capability
        case enable
        case examine
        /// Asking for the highest UID, where `UIDNEXT` was not told.
        case highest
        case newMail
        case flags
        case rebuildSearch
        case rebuildFetch
        case idleRequested
        case idling
        case leavingIdle
        case pausing
        case noop
        case ended
    }

    /// Comparisons in a row that found nothing although an `EXISTS` came, before the session waits again.
    static let emptyPassLimit = 8
    /// `IDLE`s the server may end by itself in a row before it counts as having none.
    static let shortIdleLimit = 3

    let options: Options
    let jitter: @Sendable () -> Double
    let readHeader: @Sendable ([UInt8]) -> MessageHeader

    private(set) var phase = Phase.created
    /// When to call `deadlinePassed`.
    private(set) var deadline = Moment.distantFuture
    var cursor: IMAPCursor?
    var idle: IdleBudget
    /// What was committed or handed over last.
    var emitted: IMAPCursor?

    private var framer = IMAPFramer()
    private var lastTag = 0
    private var command = ""
    /// Only until `IDLE` was looked for in it.
    private var capabilities: Set<String>?
    private var hasIdle = true
    /// `QRESYNC` is enabled (RFC 7162): the server says what changed and what went since the last comparison.
    private(set) var resyncsQuickly = false
    private var idleSince: Moment?
    private var shortIdles = 0
    private var timerEndedIdle = false
    private var saidWatching = false
    private var fullPassDue = Moment.distantFuture

    // What the mailbox said while selected.
    var exists = 0
    var serverValidity: UInt32?
    var serverNext: UInt32?
    /// `HIGHESTMODSEQ` when the mailbox was opened.
    var serverModified: UInt64?
    /// News came since the pass that runs now began.
    var isDirty = false
    /// Flags changed or messages went since they were compared.
    var wantsFlags = true
    var emptyPasses = 0
    var pass = Pass()

    init(
        cursor: IMAPCursor?, options: Options, idle: IdleBudget, jitter: @escaping @Sendable () -> Double,
        readHeader: @escaping @Sendable ([UInt8]) -> MessageHeader
    ) {
        (self.cursor, self.emitted, self.options, self.idle) = (cursor, cursor, options, idle)
        (self.jitter, self.readHeader) = (jitter, readHeader)
    }

    // MARK: Inputs

    /// The connection is logged in; no mailbox is selected.
    mutating func start(_ time: Instant) -> [Action] { send("CAPABILITY", .capability, time) }

    /// Bytes came.
    mutating func received(_ bytes: [UInt8], _ time: Instant) -> [Action] {
        guard phase != .ended else { return [] }
        do throws(IMAPSyntaxError) {
            let responses = try framer.feed(bytes)
            // A long answer that keeps coming is no silence.
            if phase != .idling && phase != .pausing { deadline = time.now + options.commandTimeout }
            var actions: [Action] = []
            for response in responses where phase != .ended {
                actions += received(response, time)
                if pass.size > options.passLimit && phase != .ended {
                    actions += fail(
                        MonitorFailure(
                            .protocolViolation,
                            "the answer to \(command) names more than \(options.passLimit) messages"))
                }
            }
            return actions
        } catch {
            return fail(MonitorFailure(.protocolViolation, error.message))
        }
    }

    /// The server closed the connection, or it broke.
    mutating func disconnected(_ time: Instant, _ reason: String = "the server closed the connection") -> [Action] {
        if phase == .idling, let idleSince { idle.lost(after: time.now - idleSince) }
        return phase == .ended ? [] : fail(MonitorFailure(.network, reason))
    }

    /// The host has the batch emitted last; the time it took is not the server's silence.
    mutating func committed(_ time: Instant) {
        if phase != .idling && phase != .pausing && phase != .ended { deadline = time.now + options.commandTimeout }
    }

    /// `deadline` came.
    mutating func deadlinePassed(_ time: Instant) -> [Action] {
        guard time.now >= deadline else { return [] }
        switch phase {
        case .ended, .created: return []
        case .idling:
            timerEndedIdle = true
            if time.now >= fullPassDue { wantsFlags = true }
            return leaveIdle(time)
        case .pausing:
            wantsFlags = true
            return send("NOOP", .noop, time)
        case .leavingIdle:
            if let idleSince { idle.lost(after: time.now - idleSince) }
            return fail(MonitorFailure(.network, "the server did not answer DONE in time"))
        default:
            return fail(MonitorFailure(.network, "the server did not answer \(command) in time"))
        }
    }

    /// What to send before closing on purpose; nothing where the server would not understand.
    var farewell: [UInt8] {
        switch phase {
        case .created, .ended: []
        case .idleRequested, .idling: Array("DONE\r\nF\(lastTag + 1) LOGOUT\r\n".utf8)
        default: Array("F\(lastTag + 1) LOGOUT\r\n".utf8)
        }
    }

    // MARK: Responses

    private mutating func received(_ response: IMAPResponse, _ time: Instant) -> [Action] {
        switch response {
        case .continuation:
            guard phase == .idleRequested else { return [] }
            return isDirty || wantsFlags ? leaveIdle(time) : idling(time)
        case .status(let status): return received(status, time)
        case .capability(let names):
            if phase == .capability { capabilities = names }
            return []
        case .exists(let count):
            exists = count
            isDirty = isDirty || phase != .examine
        case .expunge:
            wantsFlags = true
            isDirty = true
        case .vanished(let ranges):
            if phase == .flags && pass.isDifference {
                pass.vanished += ranges
                break
            }
            wantsFlags = true
            isDirty = true
        case .fetch(let fetch): return received(fetch, time)
        case .search(let uids): if phase == .rebuildSearch { pass.found += uids }
        case .unreadable: pass.unreadable += 1
        case .other, .folder: return []
        }
        return phase == .idling && isDirty ? leaveIdle(time) : []
    }

    private mutating func received(_ fetch: IMAPFetch, _ time: Instant) -> [Action] {
        switch phase {
        case .newMail: return foundNew(fetch)
        case .flags: foundFlags(fetch)
        case .rebuildFetch: foundRebuilt(fetch)
        case .highest: pass.highest = max(pass.highest, fetch.uid ?? 0)
        default:
            wantsFlags = true
            isDirty = true
        }
        return phase == .idling ? leaveIdle(time) : []
    }

    private mutating func received(_ status: IMAPStatus, _ time: Instant) -> [Action] {
        switch status.code {
        case "CAPABILITY" where phase == .capability: capabilities = IMAPReader.capabilities(status.argument)
        case "UIDVALIDITY": serverValidity = UInt32(status.argument) ?? serverValidity
        case "HIGHESTMODSEQ" where phase == .examine: serverModified = UInt64(status.argument)
        case "UIDNEXT": serverNext = UInt32(status.argument) ?? serverNext
        default: break
        }
        guard let tag = status.tag else {
            switch status.kind {
            case .bye:
                if phase == .idling, let idleSince { idle.lost(after: time.now - idleSince) }
                return fail(IMAPFailure.of(status, to: command, now: time.now))
            case .ok, .no, .bad, .preauth: return phase == .idling ? [.heard] : []
            }
        }
        guard tag == "F\(lastTag)" else { return [] }
        return [.heard] + completed(status, time)
    }

    /// The command under way has its final answer.
    private mutating func completed(_ status: IMAPStatus, _ time: Instant) -> [Action] {
        let refused = status.kind != .ok
        switch phase {
        case .capability:
            if refused { return fail(IMAPFailure.of(status, to: command, now: time.now)) }
            hasIdle = capabilities?.contains("IDLE") ?? false
            resyncsQuickly = capabilities?.contains("QRESYNC") ?? false
            capabilities = nil
            if resyncsQuickly { return send("ENABLE QRESYNC", .enable, time) }
            return examine(time)
        case .enable:
            resyncsQuickly = !refused
            return examine(time)
        case .idleRequested, .idling, .leavingIdle: return idleEnded(status, time)
        case .noop where !refused: return checkNewMail(time)
        case .rebuildSearch, .rebuildFetch: return rebuildAnswered(refused: refused, time)
        case .newMail, .flags:
            // Some messages went while they were asked for (RFC 5530): what came counts, and is asked for again.
            if refused && (status.kind != .no || status.code != "EXPUNGEISSUED") { break }
            isDirty = isDirty || refused
            return phase == .newMail ? newMailAnswered(time) : flagsAnswered(isComplete: !refused, time)
        case .examine where !refused: return examined(time)
        case .highest where !refused: return baseline(next: pass.highest.advancedUID, time)
        default: break
        }
        return refused ? fail(IMAPFailure.of(status, to: command, now: time.now)) : []
    }

    private mutating func examine(_ time: Instant) -> [Action] {
        send("EXAMINE \(IMAPSyntax.quotedMailbox(options.mailbox))", .examine, time)
    }

    // MARK: Waiting

    /// Nothing more to ask: waits for news.
    mutating func wait(_ time: Instant) -> [Action] {
        // What is left over after `emptyPassLimit` waits for the next comparison.
        (emptyPasses, isDirty, wantsFlags) = (0, false, false)
        // Thousands of sessions wait: they hold nothing they do not need.
        pass = Pass()
        var actions: [Action] = saidWatching ? [] : [.watching]
        saidWatching = true
        if fullPassDue <= time.now || fullPassDue == .distantFuture { fullPassFinished(time) }
        guard hasIdle else {
            phase = .pausing
            deadline = time.now + options.poll * (0.9 + 0.2 * jitter())
            return actions
        }
        actions += send("IDLE", .idleRequested, time)
        return actions
    }

    /// New messages and flags have both been compared.
    mutating func fullPassFinished(_ time: Instant) {
        fullPassDue = time.now + options.reconcile * (0.8 + 0.2 * jitter())
    }

    private mutating func idling(_ time: Instant) -> [Action] {
        phase = .idling
        idleSince = time.now
        deadline = min(time.now + idle.limit * (0.8 + 0.4 * jitter()), fullPassDue)
        deadline = min(deadline, time.now + IMAPMonitorLimits.longestIdle)
        return []
    }

    private mutating func leaveIdle(_ time: Instant) -> [Action] {
        phase = .leavingIdle
        deadline = time.now + options.commandTimeout
        return [.send(Array("DONE\r\n".utf8))]
    }

    private mutating func idleEnded(_ status: IMAPStatus, _ time: Instant) -> [Action] {
        if phase == .leavingIdle {
            shortIdles = 0
            if timerEndedIdle, let idleSince, time.now - idleSince >= idle.limit * 4 / 5 { idle.survived() }
        } else {
            // The server refuses to idle, or ends it by itself; asking for ever would be a busy loop.
            shortIdles += 1
            if status.kind != .ok || shortIdles >= Self.shortIdleLimit { hasIdle = false }
        }
        (timerEndedIdle, idleSince) = (false, nil)
        return checkNewMail(time)
    }

    // MARK: Outputs

    mutating func send(_ line: String, _ phase: Phase, _ time: Instant) -> [Action] {
        lastTag += 1
        command = line.split(separator: " ").prefix(line.hasPrefix("UID") ? 2 : 1).joined(separator: " ")
        self.phase = phase
        deadline = time.now + options.commandTimeout
        return [.send(Array("F\(lastTag) \(line)\r\n".utf8))]
    }

    mutating func fail(_ failure: MonitorFailure) -> [Action] {
        phase = .ended
        deadline = .distantFuture
        return [.fail(failure)]
    }
}

extension UInt32 {
    /// The UID after this one; UIDs never exceed 32 bits.
    var advancedUID: UInt32 { self == .max ? .max : self + 1 }
}
