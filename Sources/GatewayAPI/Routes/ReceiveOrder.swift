internal import Base
internal import Gateway
internal import Inbound

/// What `POST /v1/messages/receive` asks for, and how it is done.
struct ReceiveOrder: Sendable {
    private enum Mode: String, CaseIterable {
        case lock
        case delete
    }

    static let lockSeconds =
        Int(TakeOrder.lockLimits.lowerBound.wholeSeconds)...Int(TakeOrder.lockLimits.upperBound.wholeSeconds)
    private static let waitSeconds = 0...Int(TakeOrder.waitLimit.wholeSeconds)

    private let call: PartyCall
    private var take: TakeOrder
    private let wait: Duration
    private let isDeleting: Bool
    /// Messages that were deferred before, to be had by their ids.
    let deferred: [MessageKey]

    /// - Throws: a `Problem`, or why the queue or a message is not the caller's.
    init(_ call: PartyCall) throws {
        var reader = try FieldReader(call.request, isOptional: true)
        let name = try reader.optionalString("queue")
        let max = try reader.optionalInteger("max", in: 1...TakeOrder.maxLimit)
        let wait = try reader.optionalInteger("waitSeconds", in: Self.waitSeconds)
        let lock = try reader.optionalInteger("lockSeconds", in: Self.lockSeconds)
        let mode = try reader.optionalChoice("mode", of: Mode.self)
        let ids = try reader.optionalStrings("deferred")
        try reader.finish()
        if let ids {
            guard (1...TakeOrder.maxLimit).contains(ids.count) else {
                throw reader.fault("deferred", "expected 1 to \(TakeOrder.maxLimit) ids")
            }
            if max != nil || wait != nil { throw reader.fault("deferred", "goes without max and waitSeconds") }
        }
        self.call = call
        self.wait = .seconds(wait ?? 0)
        isDeleting = mode == .delete
        let queue = try call.queue(name)
        take = TakeOrder(queue, consumer: call.party.name)
        take.max = max ?? 1
        if let lock { take.lock = .seconds(lock) }
        // What devices show of an account's messages is taken away by `Messages.settle`.
        take.deletes = isDeleting && !queue.address.isStreamed
        deferred = try (ids ?? []).map { text in
            let (key, address) = try call.takenKey(text, field: "deferred")
            guard address == queue.address else {
                throw GatewayError(.notFound, "'\(key)' is in another queue", field: "deferred")
            }
            return key
        }
    }

    /// Takes what is ready, or waits for it.
    func receive(_ reply: PendingReply) {
        let mailroom = call.gateway.mailroom
        guard wait > .zero, mailroom.number(of: take.queue.address) == nil else { return begin(reply) }
        // Nothing was ever sent there; one can wait only where there is a queue.
        let isTaken = call.context.errands.add {
            do {
                _ = try await mailroom.open(take.queue)
                begin(reply)
            } catch {
                reply.fail(error)
            }
        }
        if !isTaken { reply.fail(GatewayError(.stopping, "the gateway stops")) }
    }

    private func begin(_ reply: PendingReply) {
        let (mailroom, waits) = (call.gateway.mailroom, call.context.waits)
        let own = Locked<UInt64?>(nil)
        let waiting = mailroom.take(take, waits: wait > .zero, isGone: { reply.responder.isPeerGone }) { result in
            if let id = own.withLock({ $0 }) { waits.forget(id) }
            finish(reply, result)
        }
        guard let waiting else { return }
        own.withLock { $0 = waiting }
        waits.end(waiting, at: call.gateway.time.now + wait)
        // The server stops, or the consumer has hung up: nobody is to wait any longer.
        reply.responder.onCancel { mailroom.stopWaiting(waiting) }
    }

    /// Locks what was deferred; what is not deferred any more is left out.
    func receiveDeferred(_ reply: PendingReply) throws {
        let gathering = Locked((rest: deferred.count, results: [Int: Result<[HandedOver], StoreError>]()))
        @Sendable func done(_ index: Int, _ result: Result<[HandedOver], StoreError>) {
            let results = gathering.withLock { state -> [Int: Result<[HandedOver], StoreError>]? in
                state.rest -= 1
                state.results[index] = result
                return state.rest == 0 ? state.results : nil
            }
            guard let results else { return }
            finish(
                reply,
                Result { () throws(StoreError) -> [HandedOver] in
                    var all: [HandedOver] = []
                    for index in deferred.indices { all += try results[index]?.get() ?? [] }
                    return all
                })
        }
        for (index, key) in deferred.enumerated() {
            do throws(QueueMachine.Unavailable) {
                try call.gateway.mailroom.lock(key, in: .deferred, take) { done(index, $0) }
            } catch {
                done(index, .success([]))
            }
        }
    }

    private func finish(_ reply: PendingReply, _ result: Result<[HandedOver], StoreError>) {
        guard isDeleting, case .success(let handed) = result, !handed.isEmpty else {
            return reply.finish(result) { .json(bytes: MessageCodec.handedOver($0)) }
        }
        if take.deletes { return reply.answer(.json(bytes: MessageCodec.handedOver(handed, isSettled: true))) }
        reply.later {
            let orders = handed.map { SettleOrder(key: $0.message.key, token: $0.lock.token, settlement: .complete) }
            _ = try await call.settleStreamed(orders)
            return .json(bytes: MessageCodec.handedOver(handed, isSettled: true))
        }
    }
}
