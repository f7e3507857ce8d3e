internal import Base
internal import Gateway
internal import Inbound

/// What one request says of messages its sender has locked, and what becomes of it. Each stands for itself.
struct Settlements: Sendable {
    typealias Renewal = (lock: QueueMachine.Lock, remaining: Duration)

    enum Outcome: Sendable {
        case settled(Message.State)
        case renewed(Renewal)
        case refused(GatewayError)
    }

    /// A settlement that the queue, or the store, is asked for.
    private struct Step: Sendable {
        let index: Int
        let order: SettleOrder
    }

    private let call: PartyCall
    /// In the order of the request; nil while it is under way.
    private var outcomes: [(key: MessageKey?, outcome: Outcome?)] = []
    private var steps: [Step] = []
    /// Renewals of locks that are not there: does the message exist at all?
    private var lookups: [Step] = []

    init(_ call: PartyCall) { self.call = call }

    /// Takes one up; renewals are done here and now.
    /// - Parameter id: of the message, as it was sent.
    mutating func add(_ id: String, _ request: SettleRequest) {
        let key: MessageKey
        do throws(GatewayError) {
            key = try call.takenKey(id).key
        } catch {
            return outcomes.append((nil, .refused(error)))
        }
        guard let token = request.token?.token else { return outcomes.append((key, .refused(Self.lost(key)))) }
        guard let settlement = request.settlement else {
            if let renewal = call.gateway.mailroom.renew(key, token: token, for: request.lock) {
                return outcomes.append((key, .renewed(renewal)))
            }
            let order = SettleOrder(key: key, token: token, settlement: .complete)
            lookups.append(Step(index: outcomes.count, order: order))
            return outcomes.append((key, nil))
        }
        let order = SettleOrder(key: key, token: token, settlement: settlement)
        steps.append(Step(index: outcomes.count, order: order))
        outcomes.append((key, nil))
    }

    private static func lost(_ key: MessageKey) -> GatewayError {
        GatewayError(.lockLost, "the lock on '\(key)' has ended, or was never yours")
    }

    // MARK: Doing it

    /// How the request is answered: without a task for an application's queue, in one where devices are to be told.
    /// - Parameter response: made of the keys and outcomes in the order of the request.
    func answer(
        _ response: @escaping @Sendable ([(key: MessageKey?, outcome: Outcome)]) throws -> InboundResponse
    )
        -> Answer
    {
        guard call.party.device == nil else {
            return .later {
                let settled = try await call.settleStreamed(steps.map(\.order))
                return try response(try await done(settled))
            }
        }
        return call.whenDone { reply in
            guard !steps.isEmpty else { return finish([], reply, response) }
            call.gateway.mailroom.settle(steps.map(\.order), consumer: call.party.name) { result in
                switch result {
                case .success(let settled): finish(settled, reply, response)
                case .failure(let error): reply.fail(error)
                }
            }
        }
    }

    private func finish(
        _ settled: [SettleOutcome], _ reply: PendingReply,
        _ response: @escaping @Sendable ([(key: MessageKey?, outcome: Outcome)]) throws -> InboundResponse
    ) {
        for case (let step, .settled(.done)) in zip(steps, settled) {
            call.gateway.log.debug(
                .messageCompleted, "A message is settled",
                ["messageId": .key(step.order.key), "consumer": .string(call.party.name), "reason": "completed"])
        }
        guard lookups.isEmpty, !settled.contains(.unknown) else {
            return reply.later { try response(try await done(settled)) }
        }
        do {
            reply.answer(try response(merged(settled)))
        } catch {
            reply.fail(error)
        }
    }

    /// Everything that can be said without the store.
    private func merged(_ settled: [SettleOutcome]) -> [(key: MessageKey?, outcome: Outcome)] {
        var all = outcomes
        for (step, outcome) in zip(steps, settled) { all[step.index].outcome = Self.outcome(outcome, step.order.key) }
        return all.map { key, outcome in (key, outcome ?? .refused(key.map(Self.lost) ?? .init(.lockLost, ""))) }
    }

    private static func outcome(_ outcome: SettleOutcome, _ key: MessageKey) -> Outcome {
        switch outcome {
        case .settled(let state): .settled(state)
        case .lost, .unknown: .refused(lost(key))
        }
    }

    /// With what only the store knows.
    private func done(_ settled: [SettleOutcome]) async throws -> [(key: MessageKey?, outcome: Outcome)] {
        var all = merged(settled)
        for (step, outcome) in zip(steps, settled) where outcome == .unknown {
            all[step.index].outcome = try await past(step)
        }
        for step in lookups {
            let outcome = try await past(step)
            if case .refused = outcome { all[step.index].outcome = outcome }
        }
        return all
    }

    private func past(_ step: Step) async throws -> Outcome {
        do {
            return Self.outcome(try await call.gateway.mailroom.past(step.order), step.order.key)
        } catch let error as GatewayError {
            return .refused(error)
        }
    }
}

extension PartyCall {
    /// Settles messages of a queue that an account's devices show: it is taken away from them.
    func settleStreamed(_ orders: [SettleOrder]) async throws -> [SettleOutcome] {
        guard !orders.isEmpty, let device = party.device else { return [] }
        return try await gateway.messages.settle(
            orders, consumer: party.name, account: device.account, by: device.id)
    }
}

extension RouteTable {
    /// What consumers say of messages they have locked (PL-7 to PL-9, PL-13).
    mutating func addSettlements() {
        for verb in SettleRequest.Verb.allCases {
            partyChoosing("POST", "/v1/messages/{id}/\(verb.rawValue)") { call in
                var reader = try FieldReader(call.request)
                let request = try SettleRequest(verb, &reader)
                try reader.finish()
                var settlements = Settlements(call)
                settlements.add(call.id, request)
                return settlements.answer { outcomes in
                    switch outcomes.first {
                    case (let key?, .settled(let state))?: .json(bytes: SettleCodec.settled(key, state))
                    case (let key?, .renewed(let renewal))?: .json(bytes: SettleCodec.renewed(key, renewal))
                    case (_, .refused(let error))?: throw error
                    case (nil, _)?, nil: throw GatewayError(.notFound, "there is no message of this id")
                    }
                }
            }
        }
        partyChoosing("POST", "/v1/messages/settle") { call in
            var reader = try FieldReader(call.request)
            let items = try reader.objects("settlements", limit: 100) { (item: inout FieldReader) throws(Problem) in
                (id: try item.string("id"), request: try SettleRequest(try item.choice("as"), &item))
            }
            try reader.finish()
            var settlements = Settlements(call)
            for item in items { settlements.add(item.id, item.request) }
            return settlements.answer { outcomes in
                .json(bytes: SettleCodec.results(outcomes, ids: items.map(\.id)))
            }
        }
    }
}
