import GatewayTestKit
import Glibc
import Testing

@testable import Outbound

/// What is held back is asked for over real connections: it is the system that holds it.
@Suite struct ParcelTests {
    @Test("What is sent in one turn arrives together, when it is over") func together() throws {
        let connection = try Connection()
        var parcel = Parcel()
        parcel.open([connection.near])
        connection.send("a")
        connection.send("b")
        #expect(connection.isHeldBack)
        parcel.send()
        #expect(connection.receive() == "ab")
        connection.send("c")
        #expect(connection.receive() == "c", "nothing is held back after the turn")
    }

    @Test("What libcurl lets go of is not held back any more") func released() throws {
        let (first, second) = (try Connection(), try Connection())
        var parcel = Parcel()
        parcel.open([first.near, second.near])
        first.send("a")
        second.send("b")
        parcel.release(first.near)
        #expect(first.receive() == "a")
        #expect(second.isHeldBack)
        parcel.send()
        #expect(second.receive() == "b")
    }

    @Test("In a large turn the first requests leave before the last begins") func largeTurn() throws {
        let connection = try Connection()
        var parcel = Parcel()
        parcel.open([connection.near])
        for _ in 1..<Parcel.requestLimit {
            parcel.began()
            connection.send("x")
        }
        #expect(connection.isHeldBack)
        parcel.began()
        #expect(connection.receive() == String(repeating: "x", count: Parcel.requestLimit - 1))
        connection.send("y")
        #expect(connection.isHeldBack, "the turn goes on")
        parcel.send()
        #expect(connection.receive() == "y")
    }

    @Test("Many connections are not held back") func many() throws {
        let connections = try (0...Parcel.connectionLimit).map { _ in try Connection() }
        var parcel = Parcel()
        parcel.open(Set(connections.map(\.near)))
        connections[0].send("a")
        #expect(connections[0].receive() == "a")
    }
}

/// Both ends of one loopback connection.
private final class Connection {
    /// The end that sends.
    let near: Int32
    private let far: Int32
    private var sent = ContinuousClock.now

    init() throws {
        let stream = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        let listener = socket(AF_INET, stream, 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        near = socket(AF_INET, stream, 0)
        let near = near
        let isConnected = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe bind(listener, address, length) == 0 && listen(listener, 1) == 0
                    && getsockname(listener, address, &length) == 0 && connect(near, address, length) == 0
            }
        }
        far = isConnected ? accept(listener, nil, nil) : -1
        // `deinit` closes the ends also after this.
        guard far >= 0 else { throw PeerError(.socket, "no loopback connection") }
        var one: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        // As libcurl has it: without this the system's own holding back would be seen.
        unsafe setsockopt(near, Int32(IPPROTO_TCP), TCP_NODELAY, &one, size)
    }

    deinit {
        close(near)
        if far >= 0 { close(far) }
    }

    func send(_ text: String) {
        let bytes = Array(text.utf8)
        sent = .now
        #expect(unsafe Glibc.send(near, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count)
    }

    /// Whether nothing comes for a while. The system holds back for 200 ms at most (tcp(7)): where the test itself has
    /// been held up for longer, nothing can be said.
    var isHeldBack: Bool { !waits(milliseconds: 30) || sent.duration(to: .now) > .milliseconds(150) }

    private func waits(milliseconds: Int32) -> Bool {
        var watched = pollfd(fd: far, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&watched, 1, milliseconds) == 1
    }

    /// What has come; waits for it.
    func receive() -> String {
        guard waits(milliseconds: 5000) else { return "" }
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = unsafe recv(far, &bytes, bytes.count, 0)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }
}
