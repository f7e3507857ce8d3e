internal import Base
internal import Gateway

/// Where a device's messages go: a topic on a server.
struct NtfyTopic: Sendable, Hashable {
    /// Whose server it is.
    enum Server: Sendable, Hashable {
        /// The one of the configuration, which gets our token.
        case configured
        /// Another one, which the device named: it gets no token, and has to have a public address.
        case foreign(origin: String)
    }

    let server: Server
    /// The server's address, without a slash at the end.
    let base: String
    let name: String

    /// Names this server and topic among all others.
    var key: String { "\(base)/\(name)" }

    /// Why an address is no topic: what to tell the client.
    struct Fault: Error {
        let message: String
    }

    /// - Throws: `Fault`.
    init(_ address: Channel.Address, _ settings: NtfySettings) throws(Fault) {
        switch address {
        case .token(let name):
            guard Self.isName(name) else { throw Fault(message: "a topic has 1 to 64 letters, digits, '_' and '-'") }
            (server, base, self.name) = (.configured, settings.url, name)
        case .url(let url):
            guard let slash = url.lastIndex(of: "/"), Self.isName(String(url[url.index(after: slash)...])) else {
                throw Fault(message: "the URL must end in a topic: /, and 1 to 64 letters, digits, '_' and '-'")
            }
            (base, name) = (String(url[..<slash]), String(url[url.index(after: slash)...]))
            // The operator's own server may do without TLS, a device's may not.
            if base == settings.url {
                server = .configured
                return
            }
            guard !base.hasSuffix("/"), !base.contains("?") else {
                throw Fault(message: "the URL has something else than a server in front of its topic")
            }
            do {
                server = .foreign(origin: try WebAddress(url, secureUnlessIn: settings.allowHosts).origin)
            } catch {
                throw Fault(message: "\(error)")
            }
        case .subscription: throw Fault(message: "this push service takes a topic, as token or as URL")
        }
    }

    /// What ntfy takes as a topic, and as a sequence id.
    static func isName(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) || $0 == 0x5F || $0 == 0x2D
            }
    }
}
