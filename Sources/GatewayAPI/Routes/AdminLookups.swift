internal import Base
internal import Gateway

// What the administrator's routes look up: any account's.

extension Gateway {
    func knownAccount(_ id: String) throws(GatewayError) -> Account {
        guard let account = accounts.account(AccountID(id)) else {
            throw GatewayError(.notFound, "there is no account '\(id.printable)'")
        }
        return account
    }

    func knownDevice(_ id: String) throws(GatewayError) -> Device {
        guard let device = devices.device(DeviceID(id)) else {
            throw GatewayError(.notFound, "there is no device '\(id.printable)'")
        }
        return device
    }

    func knownRegistration(_ id: String) throws(GatewayError) -> Registration {
        guard let registration = registrations.registration(RegistrationID(id)) else {
            throw GatewayError(.notFound, "there is no registration '\(id.printable)'")
        }
        return registration
    }

    func knownSession(_ id: String) throws(GatewayError) -> Session {
        guard let session = sessions.session(SessionID(id)) else {
            throw GatewayError(.notFound, "there is no session '\(id.printable)'")
        }
        return session
    }

    /// Registrations of one account, or of all.
    func registrations(_ account: String?) -> [Registration] {
        account.map { registrations.registrations(of: AccountID($0)) } ?? registrations.all()
    }

    func adminJSON(of device: Device) -> JSON {
        DeviceCodec.json(of: device, isConnected: streams.isConnected(device.id), showsAddress: false)
    }

    /// A registration's monitor.
    func monitorJSON(of registration: Registration) -> JSON {
        var object: JSONObject = [
            "id": .string(registration.id.text), "account": .string(registration.account.text),
            "app": .string(registration.app.text),
        ]
        if let kind = registrations.app(registration.app)?.monitorKind { object.append("kind", .string(kind)) }
        let health = RegistrationCodec.json(of: monitors.health(registration.id), registration)
        for member in health.object?.members ?? [] { object.append(member.key, member.value) }
        return .object(object)
    }
}
