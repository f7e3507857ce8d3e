internal import Base
internal import CMicroHTTPD
internal import Glibc

/// A listening TCP socket.
struct Listener: ~Copyable {
    let descriptor: Int32
    /// The real port, also when any free one was asked for.
    let port: UInt16

    /// - Throws: `InboundError` that names address and port.
    init(address: String, port: UInt16, backlog: Int) throws(InboundError) {
        let place = address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
        var storage = sockaddr_storage()
        guard let (family, length) = Self.fill(&storage, address, port) else {
            throw InboundError(.invalidAddress, "cannot listen on \(place): '\(address)' is no IPv4 or IPv6 address")
        }
        let descriptor = socket(
            family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else {
            throw InboundError(.cannotListen, "cannot listen on \(place)", underlying: FileSystem.lastError)
        }
        // A restart must not wait for the old connections' TIME_WAIT; `::` shall mean IPv4 too.
        Socket.set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        if family == AF_INET6 { Socket.set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, address == "::" ? 0 : 1) }
        let bound = unsafe withUnsafePointer(to: &storage) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(descriptor, $0, length) }
        }
        guard bound == 0, listen(descriptor, Int32(clamping: backlog)) == 0 else {
            let error = errno
            close(descriptor)
            if error == EADDRINUSE {
                throw InboundError(
                    .addressInUse, "cannot listen on \(place)", underlying: "another program uses this port")
            }
            throw InboundError(
                .cannotListen, "cannot listen on \(place)", underlying: FileSystem.message(of: error))
        }
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        _ = unsafe withUnsafeMutablePointer(to: &storage) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe getsockname(descriptor, $0, &size) }
        }
        // The port stands at the same place in both families' addresses.
        let bigEndian = unsafe withUnsafeBytes(of: &storage) { unsafe $0.load(fromByteOffset: 2, as: UInt16.self) }
        (self.descriptor, self.port) = (descriptor, UInt16(bigEndian: bigEndian))
    }

    private static func fill(
        _ storage: inout sockaddr_storage, _ address: String, _ port: UInt16
    ) -> (family: Int32, length: socklen_t)? {
        unsafe withUnsafeMutableBytes(of: &storage) { bytes in
            var four = sockaddr_in()
            if unsafe inet_pton(AF_INET, address, &four.sin_addr) == 1 {
                four.sin_family = sa_family_t(AF_INET)
                four.sin_port = port.bigEndian
                unsafe bytes.storeBytes(of: four, as: sockaddr_in.self)
                return (AF_INET, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
            var six = sockaddr_in6()
            if unsafe inet_pton(AF_INET6, address, &six.sin6_addr) == 1 {
                six.sin6_family = sa_family_t(AF_INET6)
                six.sin6_port = port.bigEndian
                unsafe bytes.storeBytes(of: six, as: sockaddr_in6.self)
                return (AF_INET6, socklen_t(MemoryLayout<sockaddr_in6>.size))
            }
            return nil
        }
    }
}

/// Small operations on sockets.
enum Socket {
    /// Sets an option; one the kernel refuses stays as it was, which costs comfort and nothing else.
    static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        _ = unsafe setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// An address as text, without port; IPv4 in IPv6 is shown as IPv4.
    static func text(of address: UnsafePointer<sockaddr>) -> String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let size = socklen_t(text.count)
        if unsafe Int32(address.pointee.sa_family) == AF_INET6 {
            unsafe address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                var host = unsafe $0.pointee.sin6_addr
                _ = unsafe inet_ntop(AF_INET6, &host, &text, size)
            }
        } else {
            unsafe address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                var host = unsafe $0.pointee.sin_addr
                _ = unsafe inet_ntop(AF_INET, &host, &text, size)
            }
        }
        let string = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let mapped = "::ffff:"
        return string.hasPrefix(mapped) && string.contains(".") ? String(string.dropFirst(mapped.count)) : string
    }
}

/// How many descriptors this process may have.
package enum DescriptorLimit {
    /// Raises the soft limit to the hard one and returns what it then is.
    @discardableResult
    package static func raise() -> Int {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 0 }
        if limit.rlim_cur < limit.rlim_max {
            let old = limit.rlim_cur
            limit.rlim_cur = limit.rlim_max
            if unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) != 0 { limit.rlim_cur = old }
        }
        return Int(clamping: limit.rlim_cur)
    }
}
