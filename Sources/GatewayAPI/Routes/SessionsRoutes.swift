internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// Sessions and presence (SG-3, SG-7).
    mutating func addSessions() {
        let gateway = context.gateway
        client("POST", "/v1/sessions") { call in
            var reader = try FieldReader(call.request)
            let app = AppID(try reader.string("app"))
            let instance = try reader.string("instance")
            try reader.finish()
            try call.scope?.check(app: app, instance: instance)
            let (session, isNew) = try await gateway.openSession(app, instance: instance, device: call.device)
            return .json(gateway.json(of: session), status: isNew ? 201 : 200)
        }
        clientNow("POST", "/v1/sessions/{id}/presence") { call in
            let id = SessionID(call.id)
            var reader = try FieldReader(call.request)
            let seq = try reader.integer("seq")
            let presence = try reader.choice("state", of: Session.Presence.self)
            try reader.finish()
            if let scope = call.scope, let session = gateway.sessions.session(id) {
                try scope.check(app: session.app, instance: session.instance)
            }
            guard seq >= 0 else { throw reader.fault("seq", "must not be negative") }
            guard let session = gateway.report(id, device: call.device, seq: seq, presence: presence) else {
                _ = try gateway.session(id, of: call.account)
                throw GatewayError(.forbidden, "this session belongs to another device")
            }
            return .json(bytes: SessionCodec.presence(of: session, remaining: gateway.sessions.remaining(session)))
        }
        deviceNow("GET", "/v1/sessions") { call in
            let sessions = gateway.sessions.sessions(of: call.account)
            return try Listing(call.request).page(sessions, id: \.id.text, json: gateway.json)
        }
        deviceNow("DELETE", "/v1/sessions/{id}") { call in
            let id = try gateway.session(SessionID(call.id), of: call.account).id
            guard gateway.sessions.close(id, account: call.account) else {
                throw GatewayError(.notFound, "there is no session '\(id)'")
            }
            return .empty()
        }
    }
}

extension Gateway {
    func json(of session: Session) -> JSON {
        SessionCodec.json(of: session, remaining: sessions.remaining(session), now: time.now)
    }
}
