internal import Foundation

/// Messages of a queue as they come; see `FarbellClient.messages`.
public struct MessageSequence: AsyncSequence, Sendable {
    /// A locked message.
    public typealias Element = Message

    let client: FarbellClient
    let queue: String?
    let max: Int
    let lock: Duration
    let wait: Duration
    let mode: ReceiveMode

    /// Begins to receive. Several iterators compete for the messages, as consumers do.
    public func makeAsyncIterator() -> Iterator { Iterator(self) }

    /// Receives one message after the other.
    public struct Iterator: AsyncIteratorProtocol {
        private let loop: Loop

        init(_ sequence: MessageSequence) { loop = Loop(sequence) }

        /// The next message, however long it takes.
        /// - Throws: `FarbellError` that will not pass by itself; `CancellationError`.
        public mutating func next() async throws -> Message? { try await loop.next() }
    }
}

extension MessageSequence {
    /// A class, for what was fetched must be given back when the iterator goes.
    private final class Loop: Sendable {
        private let sequence: MessageSequence
        private let loop: Guarded<ReceiveLoop<Message>>
        /// Without repetition: the loop has its own, which never ends.
        private let wire: Wire

        init(_ sequence: MessageSequence) {
            self.sequence = sequence
            loop = Guarded(ReceiveLoop(wait: sequence.wait, policy: sequence.client.retry))
            var wire = sequence.client.wire
            wire.retry = .never
            self.wire = wire
        }

        deinit {
            let (rest, client) = (loop.withLock { $0.abandon() }, sequence.client)
            guard !rest.isEmpty else { return }
            // Nobody is left who could wait. One call, as often as the client's policy says; should it fail, the
            // messages come back when their locks are over.
            Task { try? await client.settle(rest.map { ($0.receipt, .abandon()) }) }
        }

        func next() async throws -> Message {
            do {
                while true {
                    try Task.checkCancellation()
                    switch loop.withLock({ $0.next() }) {
                    case .hand(let message): return message
                    case .wait(let pause): try await wire.clock.sleep(for: pause)
                    case .fetch: try await fetch()
                    }
                }
            } catch {
                await giveBack()
                throw error
            }
        }

        private func fetch() async throws {
            let begin = wire.clock.elapsed
            do {
                let messages = try await sequence.client.receive(
                    queue: sequence.queue, max: sequence.max, wait: sequence.wait, lock: sequence.lock,
                    mode: sequence.mode, deferred: nil, renews: true, wire)
                loop.withLock { $0.fetched(messages, after: wire.clock.elapsed - begin) }
            } catch let error as FarbellError {
                guard loop.withLock({ $0.failed(error, random: wire.random()) }) else { throw error }
            }
        }

        private func giveBack() async {
            let rest = loop.withLock { $0.abandon() }
            guard !rest.isEmpty, sequence.mode == .lock else { return }
            let client = sequence.client
            // Should it fail, the messages come back when their locks are over.
            _ = try? await shielded { try await client.settle(rest.map { ($0.receipt, .abandon()) }) }
        }
    }
}
