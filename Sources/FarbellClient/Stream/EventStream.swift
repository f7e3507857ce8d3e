internal import Foundation

extension FarbellClient {
    private struct Acknowledgement: Encodable {
        let upTo: Int64
    }

    /// The device's stream (MN-9): what happens, as it happens, and first what the device has missed.
    ///
    ///     let stream = client.stream()
    ///     for try await event in stream {
    ///         if case .notify(let notification) = event.content { show(notification) }
    ///         if let id = event.id { try await stream.acknowledge(upTo: id) }
    ///     }
    ///
    /// Broken connections are replaced, after the pause the gateway asks for, without losing or repeating an event.
    /// The loop ends with an error that will not pass by itself, such as a revoked token, or with
    /// `CancellationError`. A device has one stream: the gateway closes the older of two, so let only one loop run.
    /// - Parameters:
    ///   - after: only events with higher numbers; nil to go on where the device's acknowledgements ended.
    ///   - idle: a connection that was silent for so long counts as broken. The gateway says something every 15 s.
    public func stream(after: Int64? = nil, idle: Duration = .seconds(45)) -> EventStream {
        EventStream(client: self, after: after, idle: idle)
    }

    /// Says that the device has dealt with all events up to a number: they are not sent again, and their senders
    /// hear that they were delivered.
    public func acknowledge(upTo id: Int64) async throws {
        try await wire.perform(Call("POST", "stream", "ack").with(Acknowledgement(upTo: id)))
    }
}

/// A device's events as they come; see `FarbellClient.stream`.
public struct EventStream: AsyncSequence, Sendable {
    /// An event.
    public typealias Element = StreamEvent

    private let client: FarbellClient
    private let after: Int64?
    private let idle: Duration
    /// Bytes that may wait for the loop: twice the largest event, so that there is a whole one among them. When
    /// there are more, the connection is given up, and the rest is fetched with the next one.
    var waitingLimit = 2 * EventStreamParser.eventLimit
    /// The highest number the gateway has taken.
    private let acknowledged = Guarded<Int64?>(nil)

    init(client: FarbellClient, after: Int64?, idle: Duration) {
        (self.client, self.after, self.idle) = (client, after, idle)
    }

    /// As `FarbellClient.acknowledge`.
    public func acknowledge(upTo id: Int64) async throws {
        try await client.acknowledge(upTo: id)
        acknowledged.withLock { $0 = Swift.max($0 ?? id, id) }
    }

    /// Begins to listen.
    public func makeAsyncIterator() -> Iterator { Iterator(self) }

    /// Hands out one event after the other, over as many connections as it takes.
    public struct Iterator: AsyncIteratorProtocol {
        private let stream: EventStream
        private var progress: StreamProgress
        private var parser = EventStreamParser()
        private var answer: (any TransportAnswer)?
        private var waiting: ArraySlice<StreamEvent> = []

        init(_ stream: EventStream) {
            self.stream = stream
            progress = StreamProgress(after: stream.after, policy: stream.client.retry)
        }

        /// The next event, however long it takes.
        /// - Throws: `FarbellError` that will not pass by itself; `CancellationError`.
        public mutating func next() async throws -> StreamEvent? {
            while true {
                try Task.checkCancellation()
                if let event = waiting.popFirst() { return event }
                do {
                    let open = try await connection()
                    if let bytes = try await open.next() {
                        take(try parser.consume(bytes))
                    } else {
                        answer = nil
                        try await pause(progress.pauseAfterEnd(random: stream.client.wire.random()))
                    }
                } catch let error as FarbellError where error.code == .readerTooSlow {
                    // All that had arrived has been handed out; the rest is still with the gateway.
                    answer = nil
                } catch let error as FarbellError {
                    answer = nil
                    let random = stream.client.wire.random()
                    guard let pause = progress.pause(after: error, random: random) else { throw error }
                    try await self.pause(pause)
                }
            }
        }

        private func pause(_ duration: Duration) async throws {
            try await stream.client.wire.clock.sleep(for: duration)
        }

        private mutating func connection() async throws -> any TransportAnswer {
            if let answer { return answer }
            let wire = stream.client.wire
            var request = try wire.request(Call("GET", "stream").silent(for: stream.idle), accept: "text/event-stream")
            request.waitingLimit = stream.waitingLimit
            if let lastID = progress.lastID { request.headers["Last-Event-ID"] = String(lastID) }
            let answer = try await wire.transport.open(request)
            guard answer.status == 200 else {
                let response = try await answer.collect(limit: Wire.answerLimit)
                throw FarbellError(response)
            }
            guard answer["Content-Type"]?.lowercased().hasPrefix("text/event-stream") == true else {
                throw FarbellError(.invalidAnswer, "The answer is not an event stream.", status: answer.status)
            }
            parser = EventStreamParser()
            self.answer = answer
            return answer
        }

        private mutating func take(_ items: [EventStreamParser.Item]) {
            for item in items {
                switch item {
                case .comment: break
                case .retry(let milliseconds): progress.retry(milliseconds: milliseconds)
                case .event(let id, let name, let data):
                    let event = StreamEvent(id: id.flatMap { Int64($0) }, name: name, data: data)
                    if case .hello(let hello) = event.content {
                        let acknowledged = stream.acknowledged.withLock { $0 }
                        progress.greeted(cursor: hello.cursor, acknowledged: acknowledged)
                    }
                    if progress.accept(id: event.id) { waiting.append(event) }
                }
            }
        }
    }
}
