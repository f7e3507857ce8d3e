internal import Base
package import Cryptography

/// The settings of a connection and their two forms: the lines of an `.rdp` file and an `rdp://` URI.
/// Never a password.
package struct RDPSettings: Sendable, Hashable {
    private enum Value: Sendable, Hashable {
        case text(String)
        case number(Int)

        /// With the letter of its type, as both forms have it.
        var typed: String {
            switch self {
            case .text(let text): "s:\(text)"
            case .number(let number): "i:\(number)"
            }
        }
    }

    private var settings: [(name: String, value: Value)] = []

    package init() {}

    package static func == (a: RDPSettings, b: RDPSettings) -> Bool { a.lines == b.lines }
    package func hash(into hasher: inout Hasher) { hasher.combine(lines) }

    package mutating func add(_ name: String, _ text: String) { settings.append((name, .text(Self.line(text)))) }
    package mutating func add(_ name: String, _ number: Int) { settings.append((name, .number(number))) }

    /// Whether a text has no line break and no control character.
    package static func isLine(_ text: String) -> Bool { line(text) == text }

    /// A text without line breaks and control characters, which would begin a setting of their own.
    private static func line(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.filter {
                    $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) && $0.value != 0x2028 && $0.value != 0x2029
                }))
    }

    /// `name:type:value`, in order.
    package var lines: [String] { settings.map { "\($0.name):\($0.value.typed)" } }

    /// The file as Windows writes it: UTF-16 in little-endian order with its mark, lines ended by CR LF.
    /// - Throws: `CryptographyError` when signing fails.
    package func file(signer: DetachedSigner?) throws(CryptographyError) -> [UInt8] {
        var lines = lines
        if let signer { lines += try signature(signer) }
        return [0xFF, 0xFE] + Self.utf16(lines.map { "\($0)\r\n" }.joined())
    }

    private static func utf16(_ text: String) -> [UInt8] {
        text.utf16.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
    }

    // MARK: - Signature

    /// The settings a signature covers, in the order the signed message has them, with the names the
    /// scope gives them (as `rdpsign` does). Only those this plugin writes.
    private static let signed: [(name: String, scope: String)] = [
        ("full address", "Full Address"), ("alternate full address", "Alternate Full Address"),
        ("use redirection server name", "Use Redirection Server Name"),
        ("disableconnectionsharing", "DisableConnectionSharing"),
        ("autoreconnection enabled", "AutoReconnection Enabled"), ("gatewayhostname", "GatewayHostname"),
        ("gatewayusagemethod", "GatewayUsageMethod"), ("gatewayprofileusagemethod", "GatewayProfileUsageMethod"),
        ("promptcredentialonce", "PromptCredentialOnce"), ("alternate shell", "Alternate Shell"),
        ("shell working directory", "Shell Working Directory"),
        ("remoteapplicationprogram", "RemoteApplicationProgram"), ("remoteapplicationmode", "RemoteApplicationMode"),
        ("remoteapplicationname", "RemoteApplicationName"), ("remoteapplicationcmdline", "RemoteApplicationCmdLine"),
        ("prompt for credentials", "Prompt For Credentials"), ("authentication level", "Authentication Level"),
        ("loadbalanceinfo", "LoadBalanceInfo"),
    ]

    /// The two lines that sign the file. The message is the covered lines, the scope and a final NUL,
    /// in UTF-16; before the signature stand 0x00010001, 1 and its length, each in four bytes.
    private func signature(_ signer: DetachedSigner) throws(CryptographyError) -> [String] {
        let covered = Self.signed.compactMap { entry in
            settings.first { $0.name == entry.name }.map { ("\($0.name):\($0.value.typed)", entry.scope) }
        }
        let scope = "signscope:s:" + covered.map(\.1).joined(separator: ",")
        let message = (covered.map(\.0) + [scope]).map { "\($0)\r\n" }.joined() + "\0"
        let signature = try signer.sign(Self.utf16(message))
        let header = [0x0001_0001, 1, UInt32(signature.count)].flatMap { (word: UInt32) in
            (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
        }
        return [scope, "signature:s:" + (header + signature).base64]
    }

    // MARK: - URI

    /// Settings Microsoft's URI scheme knows; the others are for files only.
    private static let known: Set<String> = [
        "alternate shell", "authentication level", "disableconnectionsharing", "full address", "gatewayhostname",
        "gatewayusagemethod", "gatewayprofileusagemethod", "loadbalanceinfo", "prompt for credentials",
        "remoteapplicationcmdline", "remoteapplicationmode", "remoteapplicationprogram", "shell working directory",
        "use redirection server name", "username", "workspace id", "alternate full address",
    ]

    /// `rdp://full%20address=s:host:3389&…`, for clients that take no file.
    package var uri: String {
        let parts = settings.filter { Self.known.contains($0.name) && $0.value != .text("") }.map {
            "\($0.name.percentEncoded())=\($0.value.typed.percentEncoded(keeping: ":"))"
        }
        return "rdp://" + parts.joined(separator: "&")
    }
}
