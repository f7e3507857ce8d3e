internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// What an administrator sees and does.
    mutating func addAdmin() {
        addAdminAccounts()
        addAdminDevices()
        addAdminRegistrations()
        addAdminSessions()
        addAdminQueues()
        addAdminService()
    }

    private mutating func addAdminAccounts() {
        let gateway = context.gateway
        admin("GET", "/v1/admin/accounts") { call in
            try Listing(call.request).page(gateway.accounts.all(), id: \.id.text, json: AccountCodec.json)
        }
        admin("POST", "/v1/admin/accounts") { call in
            var reader = try FieldReader(call.request)
            let name = try reader.string("name")
            let password = try reader.optionalString("password").map { Secret($0) }
            let kind = try reader.optionalChoice("kind", of: Account.Kind.self) ?? .person
            try reader.finish()
            let account = try await gateway.accounts.create(name, password: password, kind: kind)
            return .json(AccountCodec.json(of: account), status: 201)
        }
        admin("GET", "/v1/admin/accounts/{id}") { call in
            .json(AccountCodec.json(of: try gateway.knownAccount(call.id)))
        }
        admin("PATCH", "/v1/admin/accounts/{id}") { call in
            let id = try gateway.knownAccount(call.id).id
            var reader = try FieldReader(call.request)
            let isDisabled = try reader.optionalBool("disabled")
            let password = try reader.optionalString("password").map { Secret($0) }
            try reader.finish()
            if let password { try await gateway.accounts.setPassword(id, password) }
            if let isDisabled { try await gateway.setDisabled(id, isDisabled) }
            return .json(AccountCodec.json(of: try gateway.knownAccount(call.id)))
        }
        admin("DELETE", "/v1/admin/accounts/{id}") { call in
            try await gateway.deleteAccount(AccountID(call.id))
            return .empty()
        }
    }

    private mutating func addAdminDevices() {
        let gateway = context.gateway
        admin("GET", "/v1/admin/devices") { call in
            let listing = try Listing(call.request, filters: ["account"])
            let devices = listing.filter("account").map { gateway.devices.devices(of: AccountID($0)) }
            return listing.page(devices ?? gateway.devices.all(), id: \.id.text, json: gateway.adminJSON)
        }
        admin("GET", "/v1/admin/devices/{id}") { call in
            .json(gateway.adminJSON(of: try gateway.knownDevice(call.id)))
        }
        admin("DELETE", "/v1/admin/devices/{id}") { call in
            let device = try gateway.knownDevice(call.id)
            try await gateway.devices.delete(device.id, of: device.account)
            return .empty()
        }
        admin("POST", "/v1/admin/devices/{id}/test") { call in
            let id = try gateway.knownDevice(call.id).id
            try FieldReader(call.request, isOptional: true).finish()
            let (report, duration) = try await gateway.devices.test(id)
            return .json(DeviceCodec.json(of: report, duration: duration))
        }
    }

    private mutating func addAdminRegistrations() {
        let gateway = context.gateway
        admin("GET", "/v1/admin/registrations") { call in
            let listing = try Listing(call.request, filters: ["account"])
            return listing.page(gateway.registrations(listing.filter("account")), id: \.id.text, json: gateway.json)
        }
        admin("GET", "/v1/admin/registrations/{id}") { call in
            .json(gateway.json(of: try gateway.knownRegistration(call.id)))
        }
        admin("PATCH", "/v1/admin/registrations/{id}") { call in
            let known = try gateway.knownRegistration(call.id)
            var reader = try FieldReader(call.request)
            var update = Registrations.Update()
            update.isEnabled = try reader.optionalBool("enabled")
            try reader.finish()
            return .json(
                gateway.json(of: try await gateway.registrations.update(known.id, of: known.account, update)))
        }
        admin("DELETE", "/v1/admin/registrations/{id}") { call in
            let known = try gateway.knownRegistration(call.id)
            try await gateway.registrations.delete(known.id, of: known.account)
            return .empty()
        }
        admin("GET", "/v1/admin/monitors") { call in
            let listing = try Listing(call.request, filters: ["account"])
            let watchable = gateway.registrations(listing.filter("account")).filter {
                gateway.registrations.app($0.app)?.monitor != nil
            }
            return listing.page(watchable, id: \.id.text, json: gateway.monitorJSON)
        }
        admin("GET", "/v1/admin/monitors/{id}") { call in
            .json(gateway.monitorJSON(of: try gateway.knownRegistration(call.id)))
        }
    }

    private mutating func addAdminSessions() {
        let gateway = context.gateway
        admin("GET", "/v1/admin/sessions") { call in
            let listing = try Listing(call.request, filters: ["account"])
            let sessions = listing.filter("account").map { gateway.sessions.sessions(of: AccountID($0)) }
            return listing.page(sessions ?? gateway.sessions.all, id: \.id.text, json: gateway.json)
        }
        admin("GET", "/v1/admin/sessions/{id}") { call in
            .json(gateway.json(of: try gateway.knownSession(call.id)))
        }
        admin("DELETE", "/v1/admin/sessions/{id}") { call in
            let session = try gateway.knownSession(call.id)
            guard gateway.sessions.close(session.id, account: session.account) else {
                throw GatewayError(.notFound, "there is no session '\(session.id)'")
            }
            return .empty()
        }
    }

    private mutating func addAdminQueues() {
        let gateway = context.gateway
        admin("GET", "/v1/admin/queues") { call in
            try Listing(call.request).page(gateway.mailroom.all(), id: { String($0.number) }, json: Self.queueJSON)
        }
        admin("GET", "/v1/admin/queues/{id}") { call in
            guard let queue = gateway.mailroom.all().first(where: { String($0.number) == call.id }) else {
                throw GatewayError(.notFound, "there is no queue '\(call.id.printable)'")
            }
            return .json(Self.queueJSON(queue))
        }
        admin("GET", "/v1/admin/launches") { call in
            try Listing(call.request).page(gateway.launches.all(), id: \.id.text, json: LaunchCodec.json)
        }
        admin("GET", "/v1/admin/launches/{id}") { call in
            guard let launch = gateway.launches.all().first(where: { $0.id.text == call.id }) else {
                throw GatewayError(.notFound, "there is no launch '\(call.id.printable)'")
            }
            return .json(LaunchCodec.json(of: launch))
        }
    }

    private static func queueJSON(_ queue: Mailroom.Summary) -> JSON {
        [
            "id": .string(String(queue.number)), "queue": .string(queue.address.description),
            "open": .integer(queue.open), "locked": .integer(queue.locked), "dead": .integer(queue.dead),
            "waiting": .integer(queue.waiting),
        ]
    }

    private mutating func addAdminService() {
        let context = context
        admin("GET", "/v1/admin/status") { _ in .json(Statistics(context).json) }
        admin("POST", "/v1/admin/reload") { call in
            try FieldReader(call.request, isOptional: true).finish()
            let problems = await context.options.configurationProblems()
            guard problems.isEmpty else {
                throw Problem(
                    409, "config_invalid",
                    "The running configuration stays: " + problems.prefix(20).joined(separator: "; "))
            }
            context.options.reload()
            return .json(["reloading": true], status: 202)
        }
    }
}
