internal import Base
internal import Glibc

/// A blocking TCP connection to 127.0.0.1, for threads of tests. Every read and write has a deadline.
package final class LoopbackSocket: Sendable {
    private let descriptor: Int32

    /// - Parameter seconds: how long a read or a write may take.
    /// - Throws: `PeerError` when nobody listens.
    package init(port: Int, seconds: Int = 20) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw PeerError(.socket, FileSystem.lastError) }
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        // `deinit` closes the socket also after this.
        guard status == 0 else { throw PeerError(.socket, "port \(port): \(FileSystem.lastError)") }
    }

    deinit { close(descriptor) }

    /// Ends the connection in both directions; a reader returns at once.
    package func hangUp() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// Sends all.
    /// - Throws: `PeerError` when the other end takes no more.
    package func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes {
                unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw PeerError(.socket, "send: \(FileSystem.lastError)") }
            rest = rest.dropFirst(count)
        }
    }

    /// What is there, at least one byte; empty at the end of the connection.
    /// - Throws: `PeerError` when nothing came in time or the connection broke.
    package func receive() throws -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe recv(descriptor, &chunk, chunk.count, 0)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw PeerError(.socket, "receive: \(FileSystem.lastError)") }
            return Array(chunk.prefix(count))
        }
    }
}

/// Ports for servers that are started later or come back on the same one, and for "nobody listens here".
package enum ServerPort {
    /// A port nobody listens on, outside the range that the system gives to outgoing connections, so that
    /// none of those takes it while there is no server.
    /// - Throws: `PeerError` when none is found.
    package static func next() throws -> Int {
        for _ in 0..<100 {
            let port = Int.random(in: 12_000..<32_000)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            defer { close(descriptor) }
            if descriptor >= 0, LoopbackAddress.bind(descriptor, port: port) { return port }
        }
        throw PeerError(.socket, "no free port was found")
    }
}
