internal import Base
internal import Gateway
internal import Inbound

/// What a presence token lets a page speak of: one run of one app's client.
struct PresenceScope: Sendable, Hashable {
    let app: AppID
    let instance: String

    /// - Throws: `forbidden` for another app or run.
    func check(app: AppID, instance: String) throws(GatewayError) {
        guard app == self.app, instance == self.instance else {
            throw GatewayError(.forbidden, "this token is for another run of an app's client")
        }
    }
}

extension APIContext {
    /// Who reports a client's presence: the device, or a page on it that was given a presence token.
    /// - Throws: as `device(of:)`.
    func client(of request: InboundRequest) throws -> DeviceCall {
        guard case .bearer(let token) = Authorization(request), gateway.isPresenceToken(token) else {
            return DeviceCall(request: request, device: try device(of: request), context: self)
        }
        let (device, app, instance) = try gateway.authenticate(presence: token)
        try takeTurn(device.id.text)
        return DeviceCall(
            request: request, device: device, context: self, scope: PresenceScope(app: app, instance: instance))
    }
}
