internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// Apps and registrations (SG-1, SG-2, SG-12, SG-15).
    mutating func addRegistrations() {
        let gateway = context.gateway
        deviceNow("GET", "/v1/apps") { call in
            try Listing(call.request).page(gateway.registrations.allApps, id: \.id.text, json: RegistrationCodec.json)
        }
        deviceNow("GET", "/v1/registrations") { call in
            let registrations = gateway.registrations.registrations(of: call.account)
            return try Listing(call.request).page(registrations, id: \.id.text, json: gateway.json)
        }
        device("POST", "/v1/registrations") { call in
            let order = try RegistrationCodec.Order(call.request)
            try gateway.checkTargets(order.preferences, of: call.account)
            let (registration, isNew) = try await gateway.registrations.put(
                account: call.account, app: order.app, credentials: order.credentials, isEnabled: order.isEnabled,
                preferences: order.preferences, retries: order.retries)
            return .json(gateway.json(of: registration), status: isNew ? 201 : 200)
        }
        deviceNow("GET", "/v1/registrations/{id}") { call in
            .json(gateway.json(of: try gateway.registration(RegistrationID(call.id), of: call.account)))
        }
        device("PATCH", "/v1/registrations/{id}") { call in
            let id = try gateway.registration(RegistrationID(call.id), of: call.account).id
            let update = try RegistrationCodec.update(call.request)
            if let preferences = update.preferences { try gateway.checkTargets(preferences, of: call.account) }
            return .json(gateway.json(of: try await gateway.registrations.update(id, of: call.account, update)))
        }
        device("DELETE", "/v1/registrations/{id}") { call in
            let id = try gateway.registration(RegistrationID(call.id), of: call.account).id
            try await gateway.registrations.delete(id, of: call.account)
            return .empty()
        }
    }
}

extension Gateway {
    func json(of registration: Registration) -> JSON {
        RegistrationCodec.json(of: registration, health: monitors.health(registration.id))
    }

    /// A device named as a target must be the account's own: news must not reach another's.
    /// - Throws: `invalid_field`.
    func checkTargets(_ preferences: NotifyPreferences, of account: AccountID) throws(GatewayError) {
        let named: [DeviceID]
        switch preferences.targets {
        case .devices(let devices), .escalate(let devices, _): named = devices
        case .latest, .all, nil: return
        }
        for id in named where devices.device(id)?.account != account {
            throw .invalid("notify.targets", "the account has no device '\(id.text.printable)'")
        }
    }
}
