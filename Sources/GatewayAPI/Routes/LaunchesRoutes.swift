internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// Taps and launches.
    mutating func addLaunches() {
        let (gateway, screen) = (context.gateway, "\(context.options.publicURL)/screen#")
        device("POST", "/v1/launches") { call in
            var reader = try FieldReader(call.request)
            let tap = try reader.optionalString("tap")
            let app = try reader.optionalString("app")
            let message = try reader.optionalString("message")
            try reader.finish()
            let answer: LaunchRelay.Answer
            switch (tap, app) {
            case (let tap?, nil) where message == nil:
                answer = try await gateway.launches.launch(tap: tap, device: call.device)
            case (nil, let app?):
                let key = try message.map { text throws(GatewayError) in
                    try MessageKey(requested: text, field: "message")
                }
                answer = try await gateway.launches.launch(app: AppID(app), message: key, device: call.device)
            default: throw reader.fault("tap", "give either tap, or app with or without message")
            }
            return .json(
                LaunchCodec.json(of: answer, screen: screen + gateway.identities.ticket(answer.launch.id).exposed),
                status: answer.isNew ? 201 : 200, headers: ["Cache-Control": "no-store"])
        }
        addRedemption()
    }

    /// The ticket is what opens this: it comes from a page without a device's token, or from inside the farm.
    private mutating func addRedemption() {
        let context = context
        openLater("POST", "/v1/launches/redeem") { request in
            try context.takeTurn("redeem/\(context.peer(of: request))")
            var reader = try FieldReader(request)
            let ticket = try reader.optionalString("ticket")
            let key = try reader.optionalString("key")
            try reader.finish()
            let redeemed: LaunchRelay.Redeemed
            switch (ticket, key) {
            case (let ticket?, nil): redeemed = try await context.gateway.launches.redeem(Secret(ticket))
            case (nil, let key?):
                guard let found = try await context.gateway.launches.redeem(sessionKey: Secret(key)) else {
                    return .empty()
                }
                redeemed = found
            default: throw reader.fault("ticket", "give either ticket or key")
            }
            return .json(LaunchCodec.json(of: redeemed), headers: ["Cache-Control": "no-store"])
        }
    }
}
