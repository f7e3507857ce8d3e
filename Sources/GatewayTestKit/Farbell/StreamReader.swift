package import Base

/// A device's event stream, read on a thread of its own.
package final class StreamReader: Sendable {
    /// One server-sent event.
    package struct Event: Sendable {
        /// The `id:` of the event; empty for one without.
        package let id: String
        package let name: String
        package let data: JSON

        /// The event's number; -1 for one without.
        package var number: Int64 { Int64(id) ?? -1 }
    }

    /// Everything heard so far.
    package let events: Recorder<Event>
    private let socket: LoopbackSocket
    private let ended = Locked(false)

    /// Opens the stream.
    /// - Parameter lastEventID: goes on after this event; nil goes on after the device's cursor.
    /// - Throws: `PeerError` when the gateway does not answer 200.
    package init(port: Int, token: String, lastEventID: String? = nil) async throws {
        let events = Recorder<Event>()
        self.events = events
        var request = "GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nAuthorization: Bearer \(token)\r\n"
        if let lastEventID { request += "Last-Event-ID: \(lastEventID)\r\n" }
        let bytes = Array((request + "\r\n").utf8)
        let (socket, rest, isChunked) = try await PlainHTTP.onThread {
            let socket = try LoopbackSocket(port: port, seconds: 120)
            try socket.send(bytes)
            var read: [UInt8] = []
            while true {
                if let head = PlainHTTP.head(read) {
                    guard head.first.contains(" 200") else { throw PeerError(.socket, "stream: \(head.first)") }
                    let isChunked = head.headers["Transfer-Encoding"]?.lowercased() == "chunked"
                    return (socket, Array(read[head.end...]), isChunked)
                }
                let piece = try socket.receive()
                if piece.isEmpty { throw PeerError(.socket, "the stream ended before it began") }
                read += piece
            }
        }
        self.socket = socket
        let ended = ended
        SystemThread.start(name: "test-stream") {
            Self.read(socket, rest, isChunked: isChunked, into: events)
            ended.withLock { $0 = true }
        }
    }

    deinit { socket.hangUp() }

    /// Whether the gateway has ended the stream.
    package var isEnded: Bool { ended.withLock { $0 } }

    /// Ends the stream.
    package func close() { socket.hangUp() }

    /// The first event of a name that fits, also among those already there.
    /// - Throws: `DeadlineMissed`.
    package func first(
        _ name: String, deadline: Duration = .seconds(40), where fits: @Sendable (Event) -> Bool = { _ in true }
    ) async throws -> Event {
        do {
            return try await events.first(deadline: deadline) { $0.name == name && fits($0) }
        } catch is DeadlineMissed {
            throw DeadlineMissed(
                what: "a fitting '\(name)' on the stream, which had \(events.all.map(\.name))", deadline: deadline)
        }
    }

    private static func read(
        _ socket: LoopbackSocket, _ first: [UInt8], isChunked: Bool, into events: Recorder<Event>
    ) {
        var decoder = ChunkDecoder()
        var parser = EventParser()
        var piece = first
        while true {
            for event in parser.take(isChunked ? decoder.take(piece) : piece) { events.append(event) }
            guard let next = try? socket.receive(), !next.isEmpty else { return }
            piece = next
        }
    }
}

/// Server-sent events as the HTML standard has them, line by line.
private struct EventParser {
    private var line: [UInt8] = []
    private var (id, name, data) = ("", "", "")

    mutating func take(_ bytes: [UInt8]) -> [StreamReader.Event] {
        var events: [StreamReader.Event] = []
        for byte in bytes {
            guard byte == 0x0A else {
                line.append(byte)
                continue
            }
            let text = String(decoding: line, as: UTF8.self)
            line = []
            if text.isEmpty {
                if !data.isEmpty, let json = try? JSONParser.parse(data) {
                    events.append(StreamReader.Event(id: id, name: name, data: json))
                }
                (id, name, data) = ("", "", "")
                continue
            }
            let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty else { continue }
            let value = String(parts[1].hasPrefix(" ") ? parts[1].dropFirst() : parts[1])
            switch parts[0] {
            case "id": id = value
            case "event": name = value
            case "data": data += data.isEmpty ? value : "\n" + value
            default: break
            }
        }
        return events
    }
}
