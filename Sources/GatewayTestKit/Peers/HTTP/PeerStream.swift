internal import Base

/// An answer that goes on, from the fake's side: what it sends comes out in chunks, as and when. May be used from any
/// thread, and before the answer's header has gone out.
package final class PeerStream: Sendable {
    private enum Step: Sendable {
        case bytes([UInt8])
        /// The body is complete.
        case finish
        /// The connection is cut.
        case abort
    }

    private struct State {
        var steps: [Step] = []
        var carrier: Carrier?
        var isOpen = true
        var unsent = 0
    }

    /// The connection it goes out on.
    private final class Carrier: @unchecked Sendable {
        // Sendable: the connection is touched on its loop's thread alone.
        private weak var connection: PeerConnection?
        let loop: EventLoop
        private let onFinish: () -> Void

        init(_ connection: PeerConnection, onFinish: @escaping () -> Void) {
            (self.connection, loop, self.onFinish) = (connection, connection.loop, onFinish)
        }

        /// - Returns: the bytes that the system has not taken yet.
        func perform(_ step: Step) -> Int {
            guard let connection, !connection.isClosed else { return 0 }
            switch step {
            case .bytes(let bytes):
                connection.send(Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + [13, 10])
            case .finish:
                connection.send("0\r\n\r\n")
                onFinish()
            case .abort: connection.abort()
            }
            return connection.isClosed ? 0 : connection.unsentBytes
        }
    }

    private let state = Locked(State())

    package init() {}

    /// False once it is complete or the connection is gone.
    package var isOpen: Bool { state.withLock { $0.isOpen } }
    /// Bytes the system had not taken after the last `send`: more than none where nobody reads.
    package var unsentBytes: Int { state.withLock { $0.unsent } }

    package func send(_ bytes: [UInt8]) { if !bytes.isEmpty { add(.bytes(bytes)) } }
    package func send(_ text: String) { send(Array(text.utf8)) }
    package func finish() { add(.finish) }
    package func abort() { add(.abort) }

    private func add(_ step: Step) {
        let carrier = state.withLock { state -> Carrier? in
            guard state.isOpen else { return nil }
            if case .bytes = step {} else { state.isOpen = false }
            state.steps.append(step)
            return state.carrier
        }
        carrier?.loop.perform { [self] in drain() }
    }

    /// The answer's header has gone out: what is there follows now, the rest as it comes. On the loop's thread.
    /// - Parameter onFinish: the body is complete; called on the loop's thread.
    func attach(_ connection: PeerConnection, onFinish: @escaping () -> Void) {
        let carrier = Carrier(connection, onFinish: onFinish)
        state.withLock { $0.carrier = carrier }
        drain()
    }

    /// The connection is gone.
    func detach() {
        state.withLock { $0 = State(isOpen: false) }
    }

    private func drain() {
        let (steps, carrier) = state.withLock { state in
            defer { state.steps = [] }
            return (state.steps, state.carrier)
        }
        for step in steps {
            let unsent = carrier?.perform(step) ?? 0
            state.withLock { $0.unsent = unsent }
        }
    }
}
