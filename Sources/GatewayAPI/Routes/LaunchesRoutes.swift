internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// Taps and launches.
    mutating func addLaunches() {
        let gateway = context.gateway
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
                LaunchCodec.json(of: answer), status: answer.isNew ? 201 : 200, headers: ["Cache-Control": "no-store"])
        }
    }
}
