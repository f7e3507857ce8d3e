extension XMPPServer {
    /// Whether encrypted, host without brackets, and port of `xmpps://host:5223`; nil for anything else.
    /// - Parameter ports: where none is named.
    package static func split(
        _ url: String, ports: (tls: Int, plain: Int) = (5223, 5222)
    ) -> (isEncrypted: Bool, host: String, port: Int)? {
        guard let colon = url.firstIndex(of: ":") else { return nil }
        let scheme = url[..<colon].lowercased()
        var rest = url[url.index(after: colon)...]
        guard rest.hasPrefix("//"), scheme == "xmpp" || scheme == "xmpps" else { return nil }
        rest = rest.dropFirst(2)
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        guard !rest.contains(where: { "/@?# ".contains($0) }) else { return nil }
        var port = scheme == "xmpps" ? ports.tls : ports.plain
        var host = String(rest)
        if let end = rest.lastIndex(of: ":"), !rest.hasSuffix("]"),
            rest.hasPrefix("[") || rest.firstIndex(of: ":") == end
        {
            guard let number = Int(rest[rest.index(after: end)...]), (1...65_535).contains(number) else { return nil }
            (port, host) = (number, String(rest[..<end]))
        }
        if host.hasPrefix("[") && host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        return host.isEmpty || host.contains("[") || host.contains("]") ? nil : (scheme == "xmpps", host, port)
    }

    /// Whether a host is this machine, by its name or address alone.
    package static func isLoopback(_ host: String) -> Bool {
        let numbers = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        return host == "localhost" || host == "::1"
            || (numbers.count == 4 && numbers[0] == 127 && numbers.allSatisfy { $0 != nil })
    }
}
