package import Base

/// Which application calls with which key; of the keys only the hashes are kept.
package struct AppKeys: Sendable {
    private let owners: [[UInt8]: AppID]

    init(_ apps: [App], _ identities: Identities) {
        var owners: [[UInt8]: AppID] = [:]
        for app in apps {
            if let key = app.key, !key.isEmpty { owners[identities.tokenHash(key)] = app.id }
        }
        self.owners = owners
    }

    subscript(_ hash: [UInt8]) -> AppID? { owners[hash] }
}

extension Gateway {
    /// Who calls with this token: a device, or an application with its key.
    /// - Throws: `bad_token`, `account_disabled`.
    package func authenticate(_ token: Secret) throws(GatewayError) -> Party {
        let hash = identities.tokenHash(token)
        if let app = appKeys[hash] { return .app(app) }
        return .device(try devices.authenticate(hash: hash))
    }
}
