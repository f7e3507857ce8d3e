internal import Base
internal import Gateway
internal import XML
internal import XMPPTools

/// Performs a session's actions on a stream.
struct XMPPDriver: Sendable {
    let stream: any XMPPStream
    let host: any MonitorHost
    let time: any TimeSource
    /// The server sent what no bound of ours takes.
    let tooMuch: @Sendable () -> Void
    /// Something was sent: only then is there a stream to end.
    let hasBegun = Locked(false)

    /// Drives the session to its end.
    /// - Throws: `MonitorFailure`, `CancellationError`, or what the host threw.
    func run(_ session: inout XMPPSession) async throws {
        var xml = try Self.reader()
        try await perform(session.start(instant), &session, &xml)
        while true {
            guard let bytes = try await receive(until: session.deadline) else {
                try await perform(session.deadlinePassed(instant), &session, &xml)
                continue
            }
            guard !bytes.isEmpty else { throw MonitorFailure(.network, "the server closed the connection") }
            let arrival = time.now
            for item in try items(bytes, xml) {
                try await perform(session.received(item, instant), &session, &xml)
            }
            // A server that never stops talking must not keep a wait from its end.
            if session.deadline <= arrival { try await perform(session.deadlinePassed(instant), &session, &xml) }
        }
    }

    private static func reader() throws(MonitorFailure) -> XMLStream {
        do {
            return try XMLStream(limits: XMPPStreamLimits.bytes, keeping: XMPPStreamLimits.kept)
        } catch {
            throw MonitorFailure(.network, "\(error)")
        }
    }

    private func items(_ bytes: [UInt8], _ xml: XMLStream) throws(MonitorFailure) -> [XMLStreamItem] {
        do {
            return try xml.push(bytes)
        } catch {
            if error.code != .malformed { tooMuch() }
            throw MonitorFailure(.protocolViolation, "the server's XML was refused: \(error)")
        }
    }

    private var instant: XMPPSession.Instant { .init(now: time.now, wall: time.timestamp) }

    private func receive(until deadline: Moment) async throws -> [UInt8]? {
        do {
            return try await stream.receive(until: deadline)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw MonitorFailure(.network, "receiving failed: \(error)".printable)
        }
    }

    private func perform(
        _ actions: [XMPPSession.Action], _ session: inout XMPPSession, _ xml: inout XMLStream
    ) async throws {
        var waiting = actions[...]
        while let action = waiting.popFirst() {
            switch action {
            case .send(let bytes):
                do {
                    try await stream.send(bytes)
                    hasBegun.withLock { $0 = true }
                } catch let error as CancellationError {
                    throw error
                } catch {
                    throw MonitorFailure(.network, "sending failed: \(error)".printable)
                }
            case .restart: xml = try Self.reader()
            case .emit(let batch):
                try await host.emit(batch)
                waiting = (session.committed(instant) + waiting)[...]
            case .watching: host.watching()
            case .heard: host.heard()
            case .fail(let failure): throw failure
            }
        }
    }
}
