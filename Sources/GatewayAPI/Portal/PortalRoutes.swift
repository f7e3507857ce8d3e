internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// The portal: its files, and its session.
    mutating func addPortal() {
        let filesOrigin = context.options.filesURL.flatMap { try? WebAddress($0).origin }
        open("GET", "/") { PortalFiles.page.response(to: $0, connect: filesOrigin) }
        // The same page for every tap, so that it tells nothing about one; its script reads the address.
        open("GET", "/l/{tap}") { PortalFiles.page.response(to: $0, connect: filesOrigin) }
        open("GET", "/service-worker.js") { PortalFiles.serviceWorker.response(to: $0) }
        open("GET", "/manifest.webmanifest") { PortalFiles.manifest.response(to: $0) }
        open("GET", "/portal/{file}") { request in
            guard let file = request.parameters["file"].flatMap({ PortalFiles.assets[$0] }) else {
                throw Problem(404, "not_found", "There is nothing at this path.")
            }
            return file.response(to: request)
        }
        addPortalSession()
    }

    /// Signing in and out of a browser. The token goes into the cookie and nowhere else.
    private mutating func addPortalSession() {
        let context = context
        openLater("POST", "/v1/portal/session") { request in
            try await context.portalLogin(request)
        }
        open("GET", "/v1/portal/session") { request in
            let noStore: HTTPFields = ["Cache-Control": "no-store"]
            guard let token = PortalCookie.token(in: request) else {
                return InboundResponse(status: 204, headers: noStore)
            }
            let device: Device
            do {
                device = try context.device(of: request)
            } catch let error as GatewayError where error.code == .badToken {
                // Signed out from elsewhere: no error, but the cookie is of no use any more.
                return InboundResponse(status: 204, headers: ["Set-Cookie": PortalCookie.removing] + noStore)
            }
            return .json(context.portalSession(device, token), headers: noStore)
        }
        device("DELETE", "/v1/portal/session") { call in
            let isEverywhere = call.request.query("everywhere") == "true"
            let devices = isEverywhere ? call.gateway.devices.devices(of: call.account) : []
            // Its own last: where one of the others fails, it can be tried again.
            for device in devices where device.id != call.device.id {
                try await call.gateway.devices.delete(device.id, of: call.account)
            }
            try await call.gateway.devices.delete(call.device.id, of: call.account)
            return InboundResponse(
                status: 204, headers: ["Set-Cookie": PortalCookie.removing, "Cache-Control": "no-store"])
        }
    }
}

extension HTTPFields {
    fileprivate static func + (a: HTTPFields, b: HTTPFields) -> HTTPFields {
        b.fields.reduce(into: a) { $0.append($1.name, $1.value) }
    }
}

extension APIContext {
    /// What the portal calls a browser's platform.
    static let portalPlatform = "web"

    /// Checks name and password, binds the browser as a device, and gives it the cookie.
    fileprivate func portalLogin(_ request: InboundRequest) async throws -> InboundResponse {
        // A form of another site can send neither this type nor past this check.
        try checkSameOrigin(request)
        guard request.headers["Content-Type"]?.lowercased().hasPrefix("application/json") == true else {
            throw Problem(415, "unsupported_media_type", "Send application/json.")
        }
        var reader = try FieldReader(request)
        let (name, password) = (try reader.string("account"), Secret(try reader.string("password")))
        var description = Devices.Description(
            installation: try reader.string("installation"), name: try reader.string("name"),
            platform: Self.portalPlatform)
        description.locale = try reader.optionalString("locale")
        try reader.finish()
        let account: Account
        do {
            account = try await authenticate(name, password, request)
        } catch let error as GatewayError where error.code == .badCredentials {
            // Without the challenge that makes browsers ask for the password themselves.
            throw Problem(401, error.code.name, error.message)
        }
        let bound = try await gateway.devices.bind(account.id, description)
        return .json(
            portalSession(bound.device, bound.token), status: bound.isNew ? 201 : 200,
            headers: ["Set-Cookie": PortalCookie.setting(bound.token), "Cache-Control": "no-store"])
    }

    /// What the portal knows of its session. The proof is no secret from the page, only from other sites.
    fileprivate func portalSession(_ device: Device, _ token: Secret) -> JSON {
        var session: JSONObject = [
            "account": .string(device.account.text), "device": .string(device.id.text),
            "csrf": .string(gateway.identities.pageProof(token).exposed),
        ]
        if let files = options.filesURL {
            let limit = gateway.postmaster.attachmentBytes
            session.append("files", ["url": .string(files), "maxBytes": .integer(limit)])
        }
        return .object(session)
    }
}
