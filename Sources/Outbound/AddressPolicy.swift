internal import CCurl
internal import Glibc

/// Which addresses the open Internet uses, after IANA's special-purpose registries (RFC 6890). Requests to URLs
/// that users gave us may go nowhere else, or they could reach into the operator's network.
enum AddressPolicy {
    /// Prefix, length in bits.
    private static let specialV4: [(UInt32, UInt32)] = [
        (0x0000_0000, 8),  // "this network"
        (0x0A00_0000, 8),  // private
        (0x6440_0000, 10),  // carrier-grade NAT
        (0x7F00_0000, 8),  // loopback
        (0xA9FE_0000, 16),  // link-local, cloud metadata
        (0xAC10_0000, 12),  // private
        (0xC000_0000, 24),  // IETF protocols
        (0xC000_0200, 24),  // documentation
        (0xC058_6300, 24),  // 6to4 relays
        (0xC0A8_0000, 16),  // private
        (0xC612_0000, 15),  // benchmarks
        (0xC633_6400, 24),  // documentation
        (0xCB00_7100, 24),  // documentation
        (0xE000_0000, 4),  // multicast
        (0xF000_0000, 4),  // reserved, broadcast
    ]

    /// Whether an IPv4 address, given in network order, is a public one.
    static func isPublic(v4 bytes: some Sequence<UInt8>) -> Bool {
        let address = bytes.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        return !specialV4.contains { prefix, length in (address ^ prefix) >> (32 - length) == 0 }
    }

    /// Whether an IPv6 address of 16 bytes, in network order, is a public one. Only 2000::/3 is in use; what
    /// carries an IPv4 address inside is judged by that one.
    static func isPublic(v6 bytes: [UInt8]) -> Bool {
        guard bytes.count == 16 else { return false }
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        let translated: [UInt8] = [0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0]
        if bytes.starts(with: mapped) || bytes.starts(with: translated) {
            return isPublic(v4: bytes[12...])
        }
        guard bytes[0] & 0xE0 == 0x20 else { return false }
        switch (bytes[0], bytes[1]) {
        case (0x20, 0x01):
            // 2001::/23: IETF protocols with Teredo and ORCHID; 2001:db8::/32: documentation.
            return !(bytes[2] < 0x02 || (bytes[2] == 0x0D && bytes[3] == 0xB8))
        case (0x20, 0x02): return false  // 6to4 leads to an IPv4 address of the sender's choice
        case (0x3F, 0xFF): return bytes[2] & 0xF0 != 0  // documentation, 3fff::/20
        default: return true
        }
    }

    /// Whether a socket address is a public IPv4 or IPv6 one.
    @unsafe static func isPublic(_ address: UnsafePointer<curl_sockaddr>) -> Bool {
        let length = unsafe Int(address.pointee.addrlen)
        let start = unsafe UnsafeRawPointer(address) + MemoryLayout<curl_sockaddr>.offset(of: \.addr)!
        let family = unsafe address.pointee.family
        switch family {
        case AF_INET:
            guard length >= MemoryLayout<sockaddr_in>.size else { return false }
            let offset = MemoryLayout<sockaddr_in>.offset(of: \.sin_addr)!
            return isPublic(v4: unsafe Array(UnsafeRawBufferPointer(start: start + offset, count: 4)))
        case AF_INET6:
            guard length >= MemoryLayout<sockaddr_in6>.size else { return false }
            let offset = MemoryLayout<sockaddr_in6>.offset(of: \.sin6_addr)!
            return isPublic(v6: unsafe Array(UnsafeRawBufferPointer(start: start + offset, count: 16)))
        default: return false
        }
    }
}
