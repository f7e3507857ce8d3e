internal import Base
internal import Gateway
internal import Inbound

/// Tells the gateway which streams have ended. A stream may end inside the very call that sends on it,
/// while the gateway holds the lock it would need to hear of it, so the news goes by way of this service.
final class StreamEnds: Service {
    private struct End: Sendable {
        let device: DeviceID
        let stream: DeviceEventStream
        let reason: EventStream.CloseReason
    }

    let name = "stream-ends"
    private let hub: StreamHub
    /// At most one for each stream.
    private let ends: AsyncStream<End>
    private let sink: AsyncStream<End>.Continuation

    init(_ hub: StreamHub) {
        self.hub = hub
        (ends, sink) = AsyncStream.makeStream()
    }

    func ended(_ stream: DeviceEventStream, of device: DeviceID, _ reason: EventStream.CloseReason) {
        sink.yield(End(device: device, stream: stream, reason: reason))
    }

    func run() async throws {
        for await end in ends { hub.closed(end.device, stream: end.stream, reason: end.reason.rawValue) }
    }

    func beginShutdown() { sink.finish() }
}
