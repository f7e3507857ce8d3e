internal import Base
internal import CCurl
internal import Glibc

/// Opens a transfer's sockets: judges the resolved address and sets what libcurl has no option for.
@safe final class DestinationGuard {
    /// How long sent bytes may stay unacknowledged before the kernel ends the connection. Without it requests
    /// would go on failing on a dead HTTP/2 connection for a quarter of an hour.
    static let unacknowledgedLimit: Duration = .seconds(25)

    private let destination: HTTPRequest.Destination
    private let easy: CurlEasy
    /// An address was refused.
    private(set) var hasRefused = false

    init(_ destination: HTTPRequest.Destination, easy: CurlEasy) {
        (self.destination, self.easy) = (destination, easy)
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
            var milliseconds = UInt32(Self.unacknowledgedLimit.milliseconds)
            let size = socklen_t(MemoryLayout<UInt32>.size)
            // Best effort: a kernel without the option still has keepalive.
            unsafe setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &milliseconds, size)
        }
        return descriptor
    }
}
