internal import Base
internal import CMicroHTTPD
internal import Glibc

/// One accepted connection, from the moment it is accepted until its descriptor is closed.
final class Connection: Sendable {
    private struct State {
        /// nil once the library is about to close it: the number may then be somebody else's.
        var descriptor: Int32?
        /// When it is cut if it has not come further by then.
        var deadline: Moment
    }

    /// The client's numeric address.
    let peer: String
    /// Where the handshake finds its certificate; nil without TLS.
    let certificates: CertificateStore?
    private let loop: LoopContext
    private let state: Locked<State>

    init(descriptor: Int32, loop: LoopContext, peer: String, certificates: CertificateStore?, deadline: Moment) {
        (self.loop, self.peer, self.certificates) = (loop, peer, certificates)
        state = Locked(State(descriptor: descriptor, deadline: deadline))
    }

    var isSecure: Bool { certificates != nil }

    /// A new stage: waiting for headers, reading a body, working.
    func setDeadline(_ deadline: Moment) { state.withLock { $0.deadline = deadline } }

    /// Lets the library go on with the suspended connection. From any thread.
    func resume(_ handle: OpaquePointer) {
        unsafe MHD_resume_connection(handle)
        loop.wake()
    }

    /// The library closes the descriptor next.
    func willClose() { state.withLock { $0.descriptor = nil } }

    /// Breaks the connection off; the library notices and cleans up.
    func cut() {
        state.withLock { state in
            if let descriptor = state.descriptor { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
    }

    /// Cuts the connection if its time is over.
    func cut(ifLateAt now: Moment) {
        state.withLock { state in
            guard let descriptor = state.descriptor, now >= state.deadline else { return }
            state.deadline = .distantFuture
            _ = shutdown(descriptor, Int32(SHUT_RDWR))
        }
    }

    /// Whether the other end has hung up.
    var isClientGone: Bool {
        state.withLock { state in
            guard let descriptor = state.descriptor else { return true }
            var poll = pollfd(fd: descriptor, events: Int16(farbell_POLLRDHUP), revents: 0)
            return unsafe Glibc.poll(&poll, 1, 0) > 0
        }
    }
}

/// All open connections, for the timer.
final class ConnectionTable: Sendable {
    private struct State {
        var connections: [ObjectIdentifier: Connection] = [:]
        /// Those of each address, where that is limited.
        var counts: [String: Int] = [:]
    }

    private let state = Locked(State())
    /// Connections that one address may have; 0 for no limit.
    private let limit: Int

    init(perAddress limit: Int) { self.limit = limit }

    var count: Int { state.withLock { $0.connections.count } }

    /// Takes a connection in; false when its address has too many.
    func insert(_ connection: Connection) -> Bool {
        state.withLock { state in
            state.connections[ObjectIdentifier(connection)] = connection
            guard limit > 0 else { return true }
            state.counts[connection.peer, default: 0] += 1
            return state.counts[connection.peer, default: 0] <= limit
        }
    }

    func remove(_ connection: Connection) {
        state.withLock { state in
            guard state.connections.removeValue(forKey: ObjectIdentifier(connection)) != nil, limit > 0 else { return }
            let rest = state.counts[connection.peer, default: 1] - 1
            state.counts[connection.peer] = rest > 0 ? rest : nil
        }
    }

    func tick(now: Moment) {
        let all = state.withLock { Array($0.connections.values) }
        for connection in all { connection.cut(ifLateAt: now) }
    }
}
