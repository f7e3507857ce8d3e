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
    private let state: Locked<State>

    init(descriptor: Int32, peer: String, certificates: CertificateStore?, deadline: Moment) {
        (self.peer, self.certificates) = (peer, certificates)
        state = Locked(State(descriptor: descriptor, deadline: deadline))
    }

    var isSecure: Bool { certificates != nil }

    /// A new stage: waiting for headers, reading a body, working.
    func setDeadline(_ deadline: Moment) { state.withLock { $0.deadline = deadline } }

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
    private let connections = Locked<[ObjectIdentifier: Connection]>([:])

    var count: Int { connections.withLock { $0.count } }

    func insert(_ connection: Connection) {
        connections.withLock { $0[ObjectIdentifier(connection)] = connection }
    }

    func remove(_ connection: Connection) {
        connections.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(connection)) }
    }

    func tick(now: Moment) {
        let all = connections.withLock { Array($0.values) }
        for connection in all { connection.cut(ifLateAt: now) }
    }
}
