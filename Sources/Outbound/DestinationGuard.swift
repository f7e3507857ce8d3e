internal import Base
internal import CCurl
internal import Glibc

/// How soon a dead connection is noticed.
struct Liveness {
    /// Silence after which TCP asks, and how often, in seconds.
    let keepaliveIdle: Int
    let keepaliveInterval: Int
    /// When the kernel gives up: bytes sent and unacknowledged, or silence with questions unanswered, for so
    /// long (tcp(7), TCP_USER_TIMEOUT). Without it requests would go on failing on a dead HTTP/2 connection for
    /// a quarter of an hour. It counts from the last byte received, so it must leave room for lost questions.
    let limit: Duration

    /// Few connections, with answers awaited: dead after 40 s.
    static let http = Liveness(keepaliveIdle: 20, keepaliveInterval: 5, limit: .seconds(40))
    /// Thousands of idle connections: a question every two minutes, three may get lost.
    static let mail = Liveness(keepaliveIdle: 120, keepaliveInterval: 30, limit: .seconds(210))
}

/// Opens a transfer's sockets: judges the resolved address and sets what libcurl has no option for.
@safe final class DestinationGuard {
    private let destination: HTTPRequest.Destination
    private let liveness: Liveness
    private let easy: CurlEasy
    /// An address was refused.
    private(set) var hasRefused = false

    init(_ destination: HTTPRequest.Destination, _ liveness: Liveness, easy: CurlEasy) {
        (self.destination, self.liveness, self.easy) = (destination, liveness, easy)
    }

    /// Sets the callback. The guard must outlive the transfer.
    func install() throws {
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        try CurlEasy.check(unsafe farbell_easy_set_open_socket(easy.handle, Self.openSocket, context))
    }

    private static let openSocket: curl_opensocket_callback = { context, _, address in
        guard let context = unsafe context, let address = unsafe address else { return CURL_SOCKET_BAD }
        let decider = unsafe Unmanaged<DestinationGuard>.fromOpaque(context).takeUnretainedValue()
        return unsafe decider.open(address)
    }

    @unsafe private func open(_ address: UnsafePointer<curl_sockaddr>) -> curl_socket_t {
        if case .publicExcept(let hosts) = destination, !(unsafe AddressPolicy.isPublic(address)) {
            // The URL of this hop: after a redirect the exception must hold for the new host.
            let host = easy.string(CURLINFO_EFFECTIVE_URL).flatMap(CurlEasy.host)
            guard let host, hosts.contains(where: { $0.lowercased() == host }) else {
                hasRefused = true
                return CURL_SOCKET_BAD
            }
        }
        let target = unsafe address.pointee
        let descriptor = socket(target.family, target.socktype | Int32(SOCK_CLOEXEC.rawValue), target.protocol)
        if descriptor >= 0 {
            var milliseconds = UInt32(liveness.limit.milliseconds)
            let size = socklen_t(MemoryLayout<UInt32>.size)
            // Best effort: a kernel without the option still has keepalive.
            unsafe setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &milliseconds, size)
        }
        return descriptor
    }
}
