internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// Devices (MN-1 to MN-8, MN-13) and the account's own password.
    mutating func addDevices() {
        let gateway = context.gateway
        basic("POST", "/v1/devices") { request, account in
            let description = try DeviceCodec.description(request)
            let bound = try await gateway.devices.bind(account.id, description)
            return .json(
                [
                    "id": .string(bound.device.id.text), "token": .string(bound.token.exposed),
                    "account": .string(account.id.text),
                ],
                status: bound.isNew ? 201 : 200, headers: ["Cache-Control": "no-store"])
        }
        basic("PUT", "/v1/account/password") { request, account in
            var reader = try FieldReader(request)
            let password = Secret(try reader.string("password"))
            try reader.finish()
            try await gateway.accounts.setPassword(account.id, password)
            return .empty()
        }
        device("PUT", "/v1/account/locale") { call in
            var reader = try FieldReader(call.request)
            let locale = try reader.optionalString("locale")
            try reader.finish()
            try await gateway.accounts.setLocale(call.account, locale)
            return .empty()
        }
        deviceNow("GET", "/v1/devices") { call in
            try Listing(call.request).page(gateway.devices.devices(of: call.account), id: \.id.text) {
                DeviceCodec.json(of: $0, isConnected: gateway.streams.isConnected($0.id))
            }
        }
        deviceNow("GET", "/v1/devices/{id}") { call in
            let device = try gateway.device(DeviceID(call.id), of: call.account)
            return .json(DeviceCodec.json(of: device, isConnected: gateway.streams.isConnected(device.id)))
        }
        device("PATCH", "/v1/devices/{id}") { call in
            let id = try gateway.device(DeviceID(call.id), of: call.account).id
            let update = try DeviceCodec.update(call.request)
            let device = try await gateway.devices.update(id, of: call.account, update)
            return .json(DeviceCodec.json(of: device, isConnected: gateway.streams.isConnected(id)))
        }
        device("DELETE", "/v1/devices/{id}") { call in
            let id = try gateway.device(DeviceID(call.id), of: call.account).id
            try await gateway.devices.delete(id, of: call.account)
            return .empty()
        }
        device("POST", "/v1/devices/{id}/test") { call in
            let id = try gateway.device(DeviceID(call.id), of: call.account).id
            var reader = try FieldReader(call.request, isOptional: true)
            let adapter = try reader.optionalString("adapter")
            try reader.finish()
            let (report, duration) = try await gateway.devices.test(id, adapter: adapter)
            return .json(DeviceCodec.json(of: report, duration: duration))
        }
    }
}
