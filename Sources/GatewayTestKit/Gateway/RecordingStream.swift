internal import Base
package import Gateway

/// A device's connection that keeps what it is sent.
package final class RecordingStream: DeviceStream {
    /// One event with its number; `hello` has none.
    package struct Entry: Sendable {
        package let event: StreamEvent
        package let number: Int64?
    }

    private struct State {
        var isClosed = false
        var isSlow = false
        var capacity = Int.max
        var onClose: (@Sendable () -> Void)?
    }

    package let entries = Recorder<Entry>()
    private let state = Locked(State())

    package init() {}

    // MARK: What tests control

    /// Called once, when the connection ends.
    package func onClose(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.onClose = body } }
    /// Whether the other side reads nothing for now: `drained` waits.
    package var isSlow: Bool {
        get { state.withLock { $0.isSlow } }
        set { state.withLock { $0.isSlow = newValue } }
    }
    /// Takes only so many events in all; the next one ends the connection.
    package func setCapacity(_ events: Int) { state.withLock { $0.capacity = events } }

    // MARK: What tests ask

    package var isClosed: Bool { state.withLock { $0.isClosed } }
    /// The numbers heard, in order.
    package var numbers: [Int64] { entries.all.compactMap(\.number) }
    package var messages: [Message] {
        entries.all.compactMap { if case .message(let message) = $0.event { message } else { nil } }
    }
    package var notifications: [Notification] {
        entries.all.compactMap { if case .notify(let notification) = $0.event { notification } else { nil } }
    }
    /// The data of stored events of a kind.
    package func stored(_ kind: StoredEvent.Kind) -> [String] {
        entries.all.compactMap { entry in
            guard case .stored(let event) = entry.event, event.kind == kind else { return nil }
            return String(decoding: event.data, as: UTF8.self)
        }
    }
    package var launches: [LaunchID] {
        entries.all.compactMap { if case .launch(let id, _) = $0.event { id } else { nil } }
    }
    /// Epoch and cursor of the `hello`.
    package var hello: (epoch: Int64, cursor: Int64)? {
        for entry in entries.all { if case .hello(_, let epoch, let cursor) = entry.event { return (epoch, cursor) } }
        return nil
    }

    // MARK: DeviceStream

    package func send(_ event: StreamEvent, number: Int64?) -> Bool {
        state.withLock { state in
            guard !state.isClosed, entries.count < state.capacity else { return false }
            entries.append(Entry(event: event, number: number))
            return true
        }
    }

    package func drained() async -> Bool {
        while true {
            let (isClosed, isSlow) = state.withLock { ($0.isClosed, $0.isSlow) }
            if isClosed { return false }
            if !isSlow { return true }
            do { try await Task.sleep(for: .milliseconds(1)) } catch { return false }
        }
    }

    package func close() {
        let handler = state.withLock { state -> (@Sendable () -> Void)? in
            if state.isClosed { return nil }
            state.isClosed = true
            defer { state.onClose = nil }
            return state.onClose
        }
        handler?()
    }
}
