internal import Base
internal import Glibc

/// A server on 127.0.0.1 with one thread: accepts connections, with or without TLS, and gives each a
/// handler. Stops when it is deinitialised.
package final class PeerListener: Sendable {
    /// Makes the handler of a new connection, on the loop's thread.
    package typealias Factory = @Sendable (PeerConnection) -> any PeerHandler

    package let loop: EventLoop
    /// The port in use.
    package let port: Int
    private let acceptor: Acceptor

    /// - Parameters:
    ///   - port: 0 for any free one.
    ///   - context: nil for no TLS (or none at first).
    /// - Throws: `PeerError` when the port is taken.
    package init(
        name: String, port: Int = 0, context: TLSServerContext?, factory: @escaping Factory
    ) throws {
        let (descriptor, bound) = try Self.listen(port)
        self.port = bound
        loop = try EventLoop(name: name)
        let acceptor = Acceptor(descriptor: descriptor, loop: loop, context: context, factory: factory)
        self.acceptor = acceptor
        loop.perform { [loop] in loop.add(descriptor, acceptor) }
    }

    deinit { stop() }

    /// Closes the port and all connections; returns when that is done.
    package func stop() { loop.stop() }

    /// How many connections are open.
    package func openConnections() async throws -> Int {
        try await loop.call { [acceptor] in acceptor.connections.count }
    }

    /// Runs `body` for every open connection.
    package func forEachConnection(_ body: @escaping @Sendable (PeerConnection) -> Void) async throws {
        try await loop.call { [acceptor] in
            for connection in acceptor.connections.values { body(connection) }
        }
    }

    /// Cuts every open connection with a TCP reset.
    package func dropConnections() async throws {
        try await forEachConnection { $0.abort() }
    }

    /// While false, new connections wait in the system's queue.
    package func setAccepting(_ accepting: Bool) async throws {
        try await loop.call { [acceptor, loop] in
            loop.watch(acceptor.descriptor, reading: accepting, writing: false)
        }
    }

    private static func listen(_ port: Int) throws -> (descriptor: Int32, port: Int) {
        let descriptor = socket(
            AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { throw PeerError(.socket, FileSystem.lastError) }
        var yes: Int32 = 1
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, 4)
        guard LoopbackAddress.bind(descriptor, port: port), Glibc.listen(descriptor, 8192) == 0,
            let bound = LoopbackAddress.port(of: descriptor)
        else {
            let message = FileSystem.lastError
            close(descriptor)
            throw PeerError(.socket, "port \(port): \(message)")
        }
        return (descriptor, bound)
    }
}

/// Accepts on the loop's thread.
private final class Acceptor: EventSource, @unchecked Sendable {
    // Sendable: handed to the loop once and touched by its thread only; `descriptor` never changes.
    let descriptor: Int32
    private(set) var connections: [Int: PeerConnection] = [:]
    private let loop: EventLoop
    private let context: TLSServerContext?
    private let factory: PeerListener.Factory
    private var accepted = 0

    init(descriptor: Int32, loop: EventLoop, context: TLSServerContext?, factory: @escaping PeerListener.Factory) {
        (self.descriptor, self.loop, self.context, self.factory) = (descriptor, loop, context, factory)
    }

    func ready(_ events: UInt32) {
        while true {
            let socket = accept(descriptor, nil, nil)
            guard socket >= 0 else { return }
            _ = fcntl(socket, F_SETFL, O_NONBLOCK)
            _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
            var yes: Int32 = 1
            unsafe setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, 4)
            accepted += 1
            let connection = PeerConnection(
                number: accepted, descriptor: socket, loop: loop, context: context
            ) { [weak self] in self?.connections[$0.number] = nil }
            connections[connection.number] = connection
            connection.start(factory(connection))
        }
    }

    func abandon() {
        close(descriptor)
        connections = [:]
    }
}

/// Sockets on 127.0.0.1.
enum LoopbackAddress {
    static func bind(_ descriptor: Int32, port: Int) -> Bool {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    static func port(of descriptor: Int32) -> Int? {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, $0, &length)
            }
        }
        return status == 0 ? Int(UInt16(bigEndian: address.sin_port)) : nil
    }
}
