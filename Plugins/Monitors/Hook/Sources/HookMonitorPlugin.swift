package import Base
internal import Cryptography
package import Gateway

/// The `hook` kind of monitor: servers call the gateway.
package struct HookMonitorPlugin: MonitorPlugin {
    package var kind: String { "hook" }

    package init() {}

    private enum Format: String, CaseIterable { case signed, dovecot }

    /// Bytes of the shortest password for Dovecot.
    static let passwordLength = 16

    package func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)? {
        let format = reader.choice("format", default: Format.signed)
        let secret = reader.secret("secret")
        let user = reader.choice("user", default: HookMonitor.User.full)
        let tolerance = reader.seconds("toleranceSeconds", in: 10...3_600, default: 300)
        let username = reader.optionalString("username")
        let folders = reader.strings("folders", default: ["INBOX"])
        let made: HookMonitor.Format?
        switch format {
        case .signed:
            for key in ["username", "folders"] where reader.has(key) {
                reader.report(key, "belongs to \"format\":\"dovecot\"")
            }
            made = signed(secret, reader)
        case .dovecot:
            if reader.has("toleranceSeconds") {
                reader.report("toleranceSeconds", "belongs to \"format\":\"signed\": Dovecot sends no times")
            }
            if !secret.isEmpty, secret.bytes.count < Self.passwordLength {
                reader.report("secret", "at least \(Self.passwordLength) bytes")
            }
            let name = username ?? "farbell"
            if name.contains(":") || name.isEmpty { reader.report("username", "is not empty and holds no colon") }
            made =
                secret.isEmpty
                ? nil
                : .dovecot(login: Secret(bytes: Array("\(name):".utf8) + secret.bytes), folders: Set(folders))
        }
        guard let made else { return nil }
        return HookMonitor(
            HookMonitor.Settings(format: made, user: user, tolerance: tolerance), app: app, time: context.time)
    }

    private func signed(_ secret: Secret, _ reader: ConfigReader) -> HookMonitor.Format? {
        // A missing one has been reported as what it is.
        guard !secret.isEmpty else { return nil }
        do throws(CryptographyError) {
            return .signed(try StandardWebhooks(secret: secret))
        } catch {
            reader.report("secret", "not a Standard Webhooks secret: \(error.message)")
            return nil
        }
    }
}
