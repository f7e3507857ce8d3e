package import Base
package import Gateway
internal import Mail
internal import Outbound

/// Pushes as e-mail: the last resort, where a device has nothing better.
package struct SMTPPlugin: PushPlugin {
    /// Messages under way at once unless configured; each has a connection of its own.
    package static let defaultConcurrency = 4

    private enum StartTLS: String, CaseIterable { case required, none }

    package init() {}

    package var kind: String { "smtp" }

    package func configure(name: String, _ reader: ConfigReader, _ context: PluginContext) -> (any PushAdapter)? {
        let url = reader.url("url", schemes: ["smtps", "smtp"])
        let from = reader.string("from")
        if !from.isEmpty, !MailDraft.isAddress(from) {
            reader.report("from", "expected an e-mail address such as farbell@example.org")
        }
        let fromName = reader.string("fromName", default: "Farbell")
        let clientName = reader.optionalString("clientName")
        if let clientName, (try? WebAddress("https://\(clientName)"))?.host != clientName.lowercased() {
            reader.report("clientName", "expected a host name such as gateway.example.org")
        }
        let login = login(reader)
        let caFile = reader.optionalFile("caFile")
        guard let place = Place(url) else {
            if reader.has("url") {
                reader.report("url", "expected smtp://host or smtps://host, with an optional :port and no path")
            }
            _ = security(reader, nil)
            return nil
        }
        var server = MailConnectionRequest(
            .smtp, host: place.host, port: place.port, security: security(reader, place), login: login)
        server.caFile = caFile
        server.clientName = clientName
        server.timeout = SMTPAdapter.connectTimeout
        return SMTPAdapter(
            server: server, letterhead: Letterhead(from: from, fromName: fromName, context: context),
            client: context.transport as? HTTPClient, time: context.time)
    }

    private func login(_ reader: ConfigReader) -> MailConnectionRequest.Login {
        let username = reader.optionalString("username")
        let password = reader.optionalSecret("password")
        switch (username, password) {
        case (nil, nil): return .none
        case (let username?, let password?):
            if username.isEmpty || username.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
                reader.report("username", "must not be empty nor have control characters")
            }
            return .password(user: username, password)
        case (nil, _): reader.report("password", "a password needs a 'username'")
        case (_, nil): reader.report("username", "a user name needs a 'password'")
        }
        return .none
    }

    /// - Parameter place: nil where the URL is at fault already.
    private func security(_ reader: ConfigReader, _ place: Place?) -> MailConnectionRequest.Security {
        let allowPlaintext = reader.bool("allowPlaintext", default: false)
        let isChosen = reader.has("startTLS")
        let startTLS = reader.choice("startTLS", default: StartTLS.required)
        guard let place else { return .startTLS }
        if place.isSecure {
            if isChosen {
                reader.report("startTLS", "smtps:// is encrypted from the first byte; startTLS belongs to smtp://")
            }
            return .implicitTLS
        }
        guard startTLS == .none || (!isChosen && place.isLoopback) else { return .startTLS }
        if !place.isLoopback && !allowPlaintext {
            reader.report(
                "startTLS",
                "the password and all texts would cross the network in the clear; "
                    + "set \"allowPlaintext\":true if that is meant")
        }
        return .none
    }

    /// Where a URL leads.
    private struct Place {
        let isSecure: Bool
        /// Without brackets.
        let host: String
        let port: Int

        init?(_ url: String) {
            let lower = url.lowercased()
            isSecure = lower.hasPrefix("smtps://")
            guard isSecure || lower.hasPrefix("smtp://") else { return nil }
            let rest = url.dropFirst(isSecure ? 8 : 7)
            // The rules for hosts and ports are the same for all URLs.
            guard !rest.contains(where: { "/?".contains($0) }), let address = try? WebAddress("https://\(rest)") else {
                return nil
            }
            let isBracketed = address.host.hasPrefix("[")
            host = isBracketed ? String(address.host.dropFirst().dropLast()) : address.host
            port = Int(address.port ?? (isSecure ? 465 : 587))
        }

        var isLoopback: Bool { host == "localhost" || host == "::1" || host.hasPrefix("127.") }
    }
}
