internal import Base
internal import Gateway
internal import MailMonitoring

/// Performs a session's actions on a stream. While the mailbox is quiet it holds one pending read.
struct IMAPDriver: Sendable {
    private enum Event: Sendable {
        case bytes([UInt8])
        case disconnected(String)
        case deadline
    }

    let stream: any MailStream
    let host: any MonitorHost
    let time: any TimeSource

    /// Drives the session to its end.
    /// - Throws: `MonitorFailure`, `CancellationError`, or what the host threw.
    func run(_ session: inout IMAPSession) async throws {
        try await perform(session.start(instant), &session)
        while true {
            let event = try await nextEvent(before: session.deadline)
            let arrival = time.now
            try await perform(actions(after: event, &session), &session)
            // A server that never stops talking must not keep a wait from its end.
            if session.deadline <= arrival { try await perform(actions(after: .deadline, &session), &session) }
        }
    }

    /// Never inlined: what it needs is on the thread's stack then, and not in a frame that lives for days.
    @inline(never)
    private func actions(after event: Event, _ session: inout IMAPSession) -> [IMAPSession.Action] {
        switch event {
        case .bytes(let bytes): session.received(bytes, instant)
        case .disconnected(let reason): session.disconnected(instant, reason)
        case .deadline: session.deadlinePassed(instant)
        }
    }

    /// Says goodbye to the server, within `farewellLimit`; for tasks that are not cancelled.
    func bid(_ farewell: [UInt8], log: Log) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [stream] in
                do {
                    try await stream.send(farewell)
                } catch {
                    log.debug("monitor.logout_failed", "The connection was gone before LOGOUT")
                }
            }
            group.addTask { [time] in
                do {
                    try await time.sleep(for: Self.farewellLimit)
                } catch {
                    // Sent in time.
                }
            }
            await group.next()
            group.cancelAll()
        }
    }

    /// How long a connection that takes no bytes may hold up the end.
    private static let farewellLimit = Duration.seconds(2)

    private var instant: IMAPSession.Instant { .init(now: time.now, wall: time.timestamp) }

    private func perform(_ actions: [IMAPSession.Action], _ session: inout IMAPSession) async throws {
        for action in actions {
            switch action {
            case .send(let bytes): try await stream.write(bytes)
            case .emit(let batch):
                try await emit(batch)
                committed(&session)
            case .watching: host.watching()
            case .heard: host.heard()
            case .fail(let failure): throw failure
            }
        }
    }

    @inline(never)
    private func committed(_ session: inout IMAPSession) { session.committed(instant) }

    /// In a task of its own: a task keeps the stack it once needed, and the host's part needs much.
    private func emit(_ batch: MonitorBatch) async throws {
        async let accepted: Void = host.emit(batch)
        try await accepted
    }

    /// Waits for bytes or for the deadline. No task of its own and nothing to cancel: ten thousand mailboxes wait here.
    private func nextEvent(before deadline: Moment) async throws -> Event {
        do {
            guard let bytes = try await stream.receive(until: deadline) else { return .deadline }
            return bytes.isEmpty ? .disconnected("the server closed the connection") : .bytes(bytes)
        } catch let error as CancellationError {
            throw error
        } catch {
            return .disconnected(Self.reason(error))
        }
    }

    @inline(never)
    private static func reason(_ error: any Error) -> String { ServerWords.clean("receiving failed: \(error)") }
}
