package import Base

/// A mail server as an app's configuration names it.
package struct MailServer: Sendable {
    package var service: MailLogin.Service
    package var host: String
    package var port: Int
    package var encryption: MailLogin.Encryption
    package var caFile: String?
    package var connectTimeout = Duration.seconds(30)

    package init(
        _ service: MailLogin.Service, host: String, port: Int, encryption: MailLogin.Encryption, caFile: String? = nil
    ) {
        (self.service, self.host, self.port) = (service, host, port)
        (self.encryption, self.caFile) = (encryption, caFile)
    }

    /// `host:port`, an IPv6 address in brackets.
    package var address: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    private enum StartTLS: String, CaseIterable { case required, none }

    /// Reads `url`, `startTLS`, `allowPlaintext`, `caFile` and `connectSeconds`; nil after a fault that leaves no
    /// server.
    package init?(_ reader: ConfigReader, _ service: MailLogin.Service) {
        let scheme = Scheme(service)
        let url = reader.url("url", schemes: [scheme.secure, scheme.plain])
        let caFile = reader.optionalFile("caFile")
        let allowPlaintext = reader.bool("allowPlaintext", default: false)
        let hasStartTLS = reader.has("startTLS")
        let chosen = reader.choice("startTLS", default: StartTLS.required)
        let connectTimeout = reader.seconds("connectSeconds", in: 5...300, default: 30)
        guard let (isSecure, host, port) = scheme.split(url) else {
            if reader.has("url") {
                reader.report(
                    "url",
                    "expected \(scheme.secure)://host or \(scheme.plain)://host, with an optional :port and no path")
            }
            return nil
        }
        var encryption = MailLogin.Encryption.implicit
        if !isSecure {
            let startTLS = hasStartTLS || !Self.isLoopback(host) ? chosen : .none
            if startTLS == .none && !Self.isLoopback(host) && !allowPlaintext {
                reader.report(
                    "startTLS",
                    "passwords would cross the network in the clear; set \"allowPlaintext\":true if that is meant")
            }
            encryption = startTLS == .none ? .none : .startTLS
        } else if hasStartTLS {
            reader.report(
                "startTLS",
                "\(scheme.secure):// is encrypted from the first byte; startTLS belongs to \(scheme.plain)://")
        }
        self.init(service, host: host, port: port, encryption: encryption, caFile: caFile)
        self.connectTimeout = connectTimeout
    }

    private struct Scheme {
        let plain: String
        let secure: String
        let plainPort: Int
        let securePort: Int

        init(_ service: MailLogin.Service) {
            switch service {
            case .imap: (plain, secure, plainPort, securePort) = ("imap", "imaps", 143, 993)
            case .pop3: (plain, secure, plainPort, securePort) = ("pop3", "pop3s", 110, 995)
            }
        }

        /// Host without brackets, and port, of `imaps://host:993`; nil for anything else.
        func split(_ url: String) -> (isSecure: Bool, host: String, port: Int)? {
            guard let colon = url.firstIndex(of: ":") else { return nil }
            let scheme = url[..<colon].lowercased()
            var rest = url[url.index(after: colon)...]
            guard rest.hasPrefix("//"), scheme == plain || scheme == secure else { return nil }
            rest = rest.dropFirst(2)
            guard !rest.contains(where: { "/@?# ".contains($0) }) else { return nil }
            var port = scheme == secure ? securePort : plainPort
            var host = String(rest)
            if let end = rest.lastIndex(of: ":"), !rest.hasSuffix("]"),
                rest.hasPrefix("[") || rest.firstIndex(of: ":") == end
            {
                guard let number = Int(rest[rest.index(after: end)...]), (1...65_535).contains(number) else {
                    return nil
                }
                (port, host) = (number, String(rest[..<end]))
            }
            if host.hasPrefix("[") && host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
            return host.isEmpty || host.contains("[") || host.contains("]") ? nil : (scheme == secure, host, port)
        }
    }

    private static func isLoopback(_ host: String) -> Bool {
        let numbers = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        return host == "localhost" || host == "::1"
            || (numbers.count == 4 && numbers[0] == 127 && numbers.allSatisfy { $0 != nil })
    }
}
