internal import Base

/// What an event stream knows, without connection and lock.
///
/// Bytes wait in `buffer` until the connection takes them. A connection that finds nothing sleeps
/// (`sleeping`), and whoever brings something must wake it exactly once.
struct EventStreamState: Sendable {
    enum Action: Sendable, Hashable {
        /// Wake the connection: it asks for bytes again.
        case wake
        /// Break the connection: it may be stuck in a write that never ends.
        case cut
        /// Tell the producer, once, why the stream is over.
        case report(EventStream.CloseReason)
        /// Tell the producer that all it sent was taken.
        case drained
    }

    /// What the connection gets when it asks for bytes.
    enum Step: Sendable, Hashable {
        case bytes([UInt8])
        /// Nothing now: sleep until woken.
        case sleep
        /// The end, properly.
        case end
        /// The end, by breaking off.
        case abort
    }

    private enum Phase: Sendable, Hashable {
        case open
        /// The rest of the buffer goes out, then it ends.
        case ending
        /// Nothing goes out any more.
        case aborted
    }

    private var phase = Phase.open
    private var buffer: [UInt8] = []
    /// How much of `buffer` was taken already.
    private var taken = 0
    private var sleeping = false
    private var isCongested = false
    /// When the client last took bytes, or when waiting for it began.
    private var progress: Moment
    /// When something was last sent.
    private var sent: Moment
    private let limit: Int

    /// - Parameter limit: bytes that may wait.
    init(limit: Int, now: Moment) { (self.limit, progress, sent) = (limit, now, now) }

    var bufferedBytes: Int { buffer.count - taken }
    var isOpen: Bool { phase == .open }

    /// The producer sends.
    mutating func send(_ bytes: [UInt8], now: Moment) -> (EventStream.SendResult, [Action]) {
        guard phase == .open else { return (.closed, []) }
        // One that alone is too large goes to a client that keeps up: else it could never pass, and what stands
        // behind it neither.
        guard bufferedBytes + bytes.count <= limit || bufferedBytes <= limit / 2 else {
            return (.closed, abort(.overflow))
        }
        var actions: [Action] = []
        if bufferedBytes == 0 { progress = now }
        if buffer.isEmpty { buffer = bytes } else { buffer.append(contentsOf: bytes) }
        sent = now
        if bufferedBytes > limit / 2 { isCongested = true }
        wake(&actions)
        return (isCongested ? .congested : .sent, actions)
    }

    /// The connection asks for at most `limit` bytes.
    mutating func take(_ limit: Int, now: Moment) -> (Step, [Action]) {
        switch phase {
        case .aborted: return (.abort, [])
        case .open where bufferedBytes == 0:
            sleeping = true
            return (.sleep, [])
        case .ending where bufferedBytes == 0: return (.end, [])
        case .open, .ending:
            progress = now
            let bytes: [UInt8]
            if bufferedBytes <= limit {
                bytes = taken == 0 ? buffer : Array(buffer[taken...])
                // Gives the memory back: most streams are quiet most of the time.
                buffer = []
                taken = 0
                guard isCongested, phase == .open else { return (.bytes(bytes), []) }
                isCongested = false
                return (.bytes(bytes), [.drained])
            }
            bytes = Array(buffer[taken..<taken + limit])
            taken += limit
            if taken > buffer.count / 2 {
                buffer.removeFirst(taken)
                taken = 0
            }
            return (.bytes(bytes), [])
        }
    }

    /// The producer or a shutdown ends the stream; `last` goes out after what waits.
    mutating func end(_ reason: EventStream.CloseReason, last: [UInt8] = [], now: Moment) -> [Action] {
        guard phase == .open else { return [] }
        if bufferedBytes == 0 { progress = now }
        buffer.append(contentsOf: last)
        phase = .ending
        var actions: [Action] = [.report(reason)]
        wake(&actions)
        return actions
    }

    /// The timer came by.
    mutating func tick(now: Moment, limits: StreamLimits, ping: [UInt8]) -> [Action] {
        if phase != .aborted, bufferedBytes > 0, now - progress >= limits.stallTimeout { return abort(.stalled) }
        guard phase == .open, bufferedBytes == 0, now - sent >= limits.pingInterval else { return [] }
        return send(ping, now: now).1
    }

    /// The connection is no more, or its other end hung up.
    mutating func connectionLost() -> [Action] { abort(.clientGone) }

    private mutating func abort(_ reason: EventStream.CloseReason) -> [Action] {
        guard phase != .aborted else { return [] }
        var actions: [Action] = phase == .open ? [.report(reason)] : []
        phase = .aborted
        buffer = []
        taken = 0
        if sleeping { wake(&actions) } else { actions.append(.cut) }
        return actions
    }

    private mutating func wake(_ actions: inout [Action]) {
        guard sleeping else { return }
        sleeping = false
        actions.append(.wake)
    }
}

/// The text of events (HTML standard, section 9.2.6: parsing an event stream).
enum EventText {
    /// One event. `event` must be a plain word: line ends in it are dropped.
    static func event(id: UInt64?, event: String, data: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(data.count + event.utf8.count + 48)
        if let id {
            text.append(contentsOf: "id: ".utf8)
            text.append(contentsOf: String(id).utf8)
            text.append(newline)
        }
        if !event.isEmpty {
            text.append(contentsOf: "event: ".utf8)
            for byte in event.utf8 where byte != newline && byte != carriageReturn { text.append(byte) }
            text.append(newline)
        }
        appendLines(data, field: "data: ", to: &text)
        text.append(newline)
        return text
    }

    /// How long the client shall wait before it connects again.
    static func retry(milliseconds: Int64) -> [UInt8] { Array("retry: \(max(0, milliseconds))\n\n".utf8) }

    static func comment(_ comment: String) -> [UInt8] {
        var text: [UInt8] = []
        appendLines(Array(comment.utf8), field: ": ", to: &text)
        text.append(newline)
        return text
    }

    private static let newline = UInt8(ascii: "\n")
    private static let carriageReturn = UInt8(ascii: "\r")

    /// CR, LF and CRLF all end a line, so each piece between them needs the field's name.
    private static func appendLines(_ data: [UInt8], field: StaticString, to text: inout [UInt8]) {
        var rest = data[...]
        while true {
            let line = rest.prefix { $0 != newline && $0 != carriageReturn }
            text.append(contentsOf: field.description.utf8)
            text.append(contentsOf: line)
            text.append(newline)
            rest = rest[line.endIndex...]
            guard let end = rest.first else { return }
            rest = rest.dropFirst(end == carriageReturn && rest.dropFirst().first == newline ? 2 : 1)
        }
    }
}
