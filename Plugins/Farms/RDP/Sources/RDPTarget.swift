internal import Base
internal import FarmTools
internal import Gateway

/// What of a farm one app is.
struct RDPTarget: LaunchTarget {
    enum Start: Sendable, Hashable {
        /// A published program of a Windows farm, by its alias (`||OUTLOOK`) or path.
        case remoteApp(program: String, arguments: String)
        /// A command instead of the desktop, as xrdp understands it.
        case shell(String)
    }

    let start: Start
    /// Shown by the client; nil takes the app's name.
    let name: String?
    let directory: String?

    /// Values that may stand in a command line: nothing an outsider chooses. An item's key is not among
    /// them, because a mail server could write a command into it.
    private static let placeholders = ["app", "launch", "message"]

    /// What is wrong with a command that has placeholders; nil when nothing is.
    static func fault(inTemplate text: String) -> String? {
        var rest = text[...]
        while let open = rest.firstIndex(of: "{") {
            guard let close = rest[open...].firstIndex(of: "}") else { return nil }
            let name = String(rest[rest.index(after: open)..<close])
            if !placeholders.contains(name), name.utf8.allSatisfy({ (0x61...0x7A).contains($0 | 0x20) }) {
                return "the placeholder {\(name)} is not one of "
                    + placeholders.map { "{\($0)}" }.joined(separator: " ")
                    + Suggestion.text(for: name, among: placeholders)
            }
            rest = rest[rest.index(after: close)...]
        }
        return nil
    }

    /// Puts a launch's values into a command.
    /// - Throws: `GatewayError` for a value that a command line could read as more than a word.
    private func filled(_ text: String, for request: LaunchRequest) throws -> String {
        var result = ""
        var rest = text[...]
        while let open = rest.firstIndex(of: "{"), let close = rest[open...].firstIndex(of: "}") {
            let value: String? =
                switch rest[rest.index(after: open)..<close] {
                case "app": request.app.text
                case "launch": request.ticket.exposed
                case "message": request.message?.description ?? ""
                default: nil
                }
            result += rest[..<open]
            if let value {
                guard value.utf8.allSatisfy({ Self.isWordByte($0) }) else {
                    throw GatewayError(.farmUnavailable, "a value of the launch is not fit for a command line")
                }
                result += value
            } else {
                // Braces of the command itself, such as a shell's.
                result += rest[open...close]
            }
            rest = rest[rest.index(after: close)...]
        }
        return result + rest
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) || byte == 0x2D || byte == 0x2E
            || byte == 0x5F || byte == 0x7E
    }

    /// The settings of one launch, in the order RDP clients write them.
    /// - Throws: `GatewayError`.
    func settings(at place: RDPPlace, for request: LaunchRequest) throws -> RDPSettings {
        var settings = RDPSettings()
        settings.add("full address", place.address)
        // A signed file without this one could be pointed elsewhere by adding it.
        settings.add("alternate full address", place.address)
        if let info = place.loadBalanceInfo {
            settings.add("loadbalanceinfo", info)
            settings.add("use redirection server name", 1)
        }
        switch start {
        case .remoteApp(let program, let arguments):
            // An alias is marked by bars; a path is not.
            let isPath = program.contains("\\") || program.contains("/") || program.hasPrefix("||")
            settings.add("remoteapplicationmode", 1)
            settings.add("remoteapplicationprogram", isPath ? program : "||\(program)")
            settings.add("remoteapplicationname", name ?? request.appName)
            settings.add("remoteapplicationcmdline", try filled(arguments, for: request))
            settings.add("disableremoteappcapscheck", 1)
            settings.add("alternate shell", "rdpinit.exe")
        case .shell(let command):
            // xrdp would try to run rdpinit.exe and fall back to the whole desktop.
            settings.add("alternate shell", try filled(command, for: request))
        }
        if let directory { settings.add("shell working directory", directory) }
        settings.add("username", account(request.account, domain: place.domain))
        settings.add("prompt for credentials", 0)
        settings.add("promptcredentialonce", 1)
        settings.add("authentication level", 2)
        settings.add("autoreconnection enabled", 1)
        settings.add("disableconnectionsharing", 0)
        settings.add("workspace id", place.address)
        settings.add("gatewayhostname", place.gateway ?? "")
        // 1: always by the gateway; 4: none, and do not ask the system for one.
        settings.add("gatewayusagemethod", place.gateway == nil ? 4 : 1)
        if place.gateway != nil { settings.add("gatewayprofileusagemethod", 1) }
        return settings
    }

    private func account(_ account: AccountID, domain: String?) -> String {
        guard let domain, !account.text.contains("\\"), !account.text.contains("@") else { return account.text }
        return "\(domain)\\\(account)"
    }
}
