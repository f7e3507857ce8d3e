internal import Base
internal import Gateway
internal import Inbound

/// A device's stream as server-sent events.
final class DeviceEventStream: DeviceStream {
    /// The shortest pause before a client connects again; each client gets its own, up to twice-and-a-half
    /// this, so that not all come back at once.
    static let shortestRetryMilliseconds = 2000.0
    static let retrySpreadMilliseconds = 3000.0

    /// Made first, so that the stream's ends can find their way to this object.
    private final class Link: Sendable {
        let stream = Locked<DeviceEventStream?>(nil)
        let waiters = Locked<[CheckedContinuation<Void, Never>]>([])

        func wake() {
            for waiter in waiters.withLock({ waiters in
                defer { waiters = [] }
                return waiters
            }) { waiter.resume() }
        }
    }

    let events: EventStream
    private let link: Link
    private let bufferLimit: Int

    /// - Parameters:
    ///   - onClose: called once, on any thread, perhaps inside `send`.
    ///   - jitter: from 0..<1.
    init(
        limits: StreamLimits, time: any TimeSource, jitter: Double,
        onClose: @escaping @Sendable (DeviceEventStream, EventStream.CloseReason) -> Void
    ) {
        let link = Link()
        self.link = link
        bufferLimit = limits.bufferedBytes
        events = EventStream(
            limits: limits, time: time, onDrain: { link.wake() },
            onClose: { reason in
                link.wake()
                // Lets go of the object: it and its stream hold each other until here.
                let stream = link.stream.withLock { stream in
                    defer { stream = nil }
                    return stream
                }
                if let stream { onClose(stream, reason) }
            })
        link.stream.withLock { $0 = self }
        events.sendRetry(
            milliseconds: Int64(Self.shortestRetryMilliseconds + jitter * Self.retrySpreadMilliseconds))
    }

    func send(_ event: StreamEvent, number: Int64?) -> Bool {
        let (name, data) = StreamEventCodec.encode(event)
        return events.send(id: number.flatMap { UInt64(exactly: $0) }, event: name, data: data) != .closed
    }

    func drained() async -> Bool {
        if isBehind {
            await withCheckedContinuation { continuation in
                link.waiters.withLock { $0.append(continuation) }
                // It may have drained or ended before it could be waited for.
                if !isBehind { link.wake() }
            }
        }
        return events.isOpen
    }

    private var isBehind: Bool { events.isOpen && events.bufferedBytes > bufferLimit / 2 }

    func close() { events.close() }
}
