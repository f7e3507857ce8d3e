internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// The device's stream and its cursor (MN-9).
    mutating func addStream() {
        let (gateway, context) = (context.gateway, context)
        deviceNow("GET", "/v1/stream") { call in
            // A look at the headers must not end the device's real connection.
            if call.request.method == "HEAD" { return .text("", contentType: "text/event-stream") }
            let after = try gateway.position(call)
            let id = call.device.id
            let stream = DeviceEventStream(
                limits: context.options.stream, time: gateway.time, jitter: context.options.jitter()
            ) { stream, reason in
                context.streamEnds.ended(stream, of: id, reason)
            }
            gateway.streams.open(call.device, stream: stream, after: after)
            gateway.devices.seen(id)
            return .stream(stream.events)
        }
        device("POST", "/v1/stream/ack") { call in
            var reader = try FieldReader(call.request)
            let number = try reader.integer("upTo")
            try reader.finish()
            try await gateway.devices.acknowledge(call.device.id, upTo: number)
            return .empty()
        }
    }
}

extension Gateway {
    /// Where a stream goes on: after the event the client names, else after what the device acknowledged.
    /// - Throws: a `Problem` when the client names what cannot be an event.
    fileprivate func position(_ call: DeviceCall) throws(Problem) -> Int64 {
        guard let text = call.request.headers["Last-Event-ID"]?.trimmingSpace, !text.isEmpty else {
            return call.device.cursor
        }
        guard let number = Int64(text), number >= 0 else {
            throw Problem(
                400, "invalid_field", "Last-Event-ID: expected the id of an event of this stream",
                field: "Last-Event-ID")
        }
        // An id from before the data was lost would hide everything up to it.
        return number <= mailroom.lastNumber(.account(call.account)) ? number : call.device.cursor
    }
}
