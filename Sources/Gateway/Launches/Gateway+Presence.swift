package import Base

extension Gateway {
    /// Whether a token has the form of a presence token's.
    package func isPresenceToken(_ token: Secret) -> Bool {
        token.bytes.starts(with: Identities.presencePrefix.utf8)
    }

    /// The run of an app's client that a page may report the presence of.
    /// - Throws: `bad_token` when we did not make it, or when its device is not the account's any more;
    ///   `account_disabled`.
    package func authenticate(
        presence token: Secret
    ) throws(GatewayError) -> (device: Device, app: AppID, instance: String) {
        guard let (id, app, instance) = identities.read(presence: token), let device = devices.device(id),
            device.tokenHash != nil
        else { throw GatewayError(.badToken, "this presence token is not, or no longer, good") }
        guard accounts.account(device.account)?.isDisabled == false else {
            throw GatewayError(.accountDisabled, "the account is disabled")
        }
        return (device, app, instance)
    }
}
