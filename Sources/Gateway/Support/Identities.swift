package import Base

/// Makes ids, tokens and tap tokens from the security services' randomness and key.
package struct Identities: Sendable {
    private let security: any Security

    package init(security: any Security) { self.security = security }

    /// A fresh id with a prefix that says what it names, such as `dev_…` (72 random bits).
    package func make<Entity>(
        _ prefix: String, _ type: Identifier<Entity>.Type = Identifier<Entity>.self
    ) -> Identifier<Entity> {
        Identifier("\(prefix)_\(security.randomBytes(9).base64URL)")
    }

    /// A device's auth token (256 random bits) and what is stored of it.
    package func makeToken() -> (token: Secret, hash: [UInt8]) {
        let text = "fbd_\(security.randomBytes(32).base64URL)"
        return (Secret(text), security.hash(Array(text.utf8)))
    }

    /// What an application is asked to echo (144 random bits).
    func makeChallenge() -> String { security.randomBytes(18).base64URL }

    /// What a page shows to prove that it can read what the holder of a device's token was answered: keyed, so that it
    /// tells nothing of the token, and good as long as that.
    package func pageProof(_ token: Secret) -> Secret {
        Secret(security.authenticationCode(token.bytes, purpose: "page").base64URL)
    }

    package func tokenHash(_ token: Secret) -> [UInt8] { security.hash(token.bytes) }

    /// Whether a device's public key can be encrypted for.
    func isPublicKey(_ bytes: [UInt8]) -> Bool { security.isPublicKey(bytes) }

    /// The notification of a message on a device. Derived, not drawn: after a crash the same message on
    /// the same device gets the same id, so that a push service can recognise the repeat. A UUID in
    /// lower case (version 8, RFC 9562 section 5.8).
    package func notification(_ message: MessageKey, _ device: DeviceID) -> NotificationID {
        Self.notification(code(of: name(message, device)))
    }

    /// What a notification is called.
    typealias Names = (notification: NotificationID, tap: String)

    /// The id of a notification with the token of its tap, which cost no more together than the id alone.
    func announcement(_ message: MessageKey, _ device: DeviceID) -> Names {
        let name = name(message, device)
        let code = code(of: name)
        return (Self.notification(code), (code[Self.tapCodeOffset...] + name).base64URLText)
    }

    /// 32 bytes of which the first half becomes the notification's id, which services and devices see, and the second
    /// the tap's proof, of which the first tells nothing.
    private func code(of name: [UInt8]) -> [UInt8] { security.authenticationCode(name, purpose: "notification") }

    private static func notification(_ code: [UInt8]) -> NotificationID {
        var bytes = code
        bytes[6] = bytes[6] & 0x0F | 0x80
        bytes[8] = bytes[8] & 0x3F | 0x80
        var text: [UInt8] = []
        text.reserveCapacity(36)
        for (index, byte) in bytes.prefix(tapCodeOffset).enumerated() {
            if index == 4 || index == 6 || index == 8 || index == 10 { text.append(UInt8(ascii: "-")) }
            text.appendHexadecimal(byte)
        }
        return NotificationID(String(decoding: text, as: UTF8.self))
    }

    /// A message on a device.
    private func name(_ message: MessageKey, _ device: DeviceID) -> [UInt8] {
        var name: [UInt8] = []
        name.reserveCapacity(64)
        message.write(to: &name)
        name.append(UInt8(ascii: "|"))
        name.append(contentsOf: device.text.utf8)
        return name
    }

    /// What notifications of messages that replace one another have in common on a device; 24 bytes that tell
    /// nothing of the sender's own name for it.
    func collapse(_ name: String) -> String {
        "c-" + Array(security.authenticationCode(Array(name.utf8), purpose: "collapse").prefix(16)).base64URL
    }

    /// The opaque token a tap brings back: it names the message and the device and cannot be forged, so
    /// nothing needs to be stored before the push goes out.
    package func tap(_ message: MessageKey, _ device: DeviceID) -> String { announcement(message, device).tap }

    private static let tapCodeOffset = 16
    private static let tapCodeBytes = 16

    /// What a tap token stands for; nil for one we did not make.
    package func read(tap: String) -> (message: MessageKey, device: DeviceID)? {
        guard tap.utf8.count < 512, let bytes = [UInt8](base64URL: tap), bytes.count > Self.tapCodeBytes else {
            return nil
        }
        let name = Array(bytes.dropFirst(Self.tapCodeBytes))
        let code = Array(code(of: name)[Self.tapCodeOffset...])
        guard security.equal(code, Array(bytes.prefix(Self.tapCodeBytes))),
            let text = String(validating: name, as: UTF8.self), let bar = text.firstIndex(of: "|"),
            let message = MessageKey(String(text[..<bar]))
        else { return nil }
        return (message, DeviceID(String(text[text.index(after: bar)...])))
    }

    /// What lets a page report the presence of one run of an app's client, and nothing else: it names device, app
    /// and instance and cannot be forged, so nothing is stored.
    package func presenceToken(_ device: DeviceID, _ app: AppID, instance: String) -> Secret {
        Secret(Self.presencePrefix + signed("\(device)|\(app)|\(instance)", purpose: "presence"))
    }

    static let presencePrefix = "fpt_"

    /// What a presence token stands for; nil for one we did not make.
    package func read(presence token: Secret) -> (device: DeviceID, app: AppID, instance: String)? {
        guard let words = read(token, prefix: Self.presencePrefix, purpose: "presence", words: 3) else { return nil }
        return (DeviceID(words[0]), AppID(words[1]), words[2])
    }

    /// What lets a program inside an account's session at a farm fetch that account's launches there, and nothing
    /// else.
    package func sessionKey(_ farm: FarmID, _ account: AccountID) -> Secret {
        Secret(Self.sessionKeyPrefix + signed("\(farm)|\(account)", purpose: "session-key"))
    }

    private static let sessionKeyPrefix = "fsk_"

    /// What a session key stands for; nil for one we did not make.
    package func read(sessionKey token: Secret) -> (farm: FarmID, account: AccountID)? {
        let words = read(token, prefix: Self.sessionKeyPrefix, purpose: "session-key", words: 2)
        return words.map { (FarmID($0[0]), AccountID($0[1])) }
    }

    private func signed(_ name: String, purpose: String) -> String {
        (security.authenticationCode(Array(name.utf8), purpose: purpose) + Array(name.utf8)).base64URL
    }

    private func read(_ token: Secret, prefix: String, purpose: String, words count: Int) -> [String]? {
        let text = token.exposed
        guard text.utf8.count < 1024, text.hasPrefix(prefix),
            let bytes = [UInt8](base64URL: String(text.dropFirst(prefix.count))), bytes.count > 32
        else { return nil }
        let name = Array(bytes.dropFirst(32))
        let code = security.authenticationCode(name, purpose: purpose)
        guard security.equal(code, Array(bytes.prefix(32))), let text = String(validating: name, as: UTF8.self)
        else { return nil }
        let words = text.split(separator: "|", maxSplits: count - 1, omittingEmptySubsequences: false)
        return words.count == count ? words.map(String.init) : nil
    }

    /// The ticket of a launch. Derived from its id, so that the same answer can be given again although
    /// only the ticket's hash is stored.
    package func ticket(_ launch: LaunchID) -> Secret {
        Secret("flt_\(security.authenticationCode(Array(launch.text.utf8), purpose: "launch").base64URL)")
    }
}

extension Sequence<UInt8> {
    fileprivate var base64URLText: String { Array(self).base64URL }
}
