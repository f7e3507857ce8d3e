internal import Base

/// The addresses an account writes from: what comes from them is its own, and rings for nobody.
package struct OwnAddresses: Sendable {
    private let addresses: Set<String>

    /// The registration's own list (`notify.ownAddresses`), the app's (`ownAddresses`, with `{account}` and `{username}`), and the user name
    /// where it is an address.
    /// - Parameter username: what the registration logs in to the app's server with.
    package init(_ own: [String]?, of account: AccountID, app: App?, username: String?) {
        var addresses = Set((own ?? []).map { $0.lowercased() })
        for template in app?.ownAddresses ?? [] {
            if template.contains("{username}"), username == nil { continue }
            addresses.insert(
                template.replacing("{account}", with: account.text)
                    .replacing("{username}", with: username ?? "").lowercased())
        }
        if let username, username.contains("@") { addresses.insert(username.lowercased()) }
        self.addresses = addresses
    }

    /// Whether an address is one of them; case does not matter.
    package func has(_ address: String?) -> Bool { address.map { addresses.contains($0.lowercased()) } ?? false }
}
