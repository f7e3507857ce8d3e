internal import Base
internal import Gateway
internal import Inbound

/// A request of a device or an application.
struct PartyCall: Sendable {
    let request: InboundRequest
    let party: Party
    let context: APIContext

    var gateway: Gateway { context.gateway }
    /// The `{id}` of the path; the router sees to it that there is one.
    var id: String { request.parameters["id"] ?? "" }

    /// The queue a request names, or the caller's own.
    /// - Throws: `invalid_field`, `not_found`, `forbidden`.
    func queue(_ name: String?) throws(GatewayError) -> Recipient { try gateway.postmaster.queue(name, for: party) }

    /// A message of one of the caller's queues, by the id in the path.
    func takenKey() throws(GatewayError) -> (key: MessageKey, queue: QueueAddress) { try takenKey(id) }

    /// A message of one of the caller's queues, and the queue. Whether there is such a message is not looked at.
    /// - Throws: `not_found` for what cannot be a message, `forbidden` for one of somebody else's queue.
    func takenKey(_ text: String, field: String? = nil) throws(GatewayError) -> (key: MessageKey, queue: QueueAddress) {
        let key = try MessageKey(requested: text, field: field)
        guard let address = gateway.mailroom.address(of: key.queue) else {
            throw GatewayError(.notFound, "there is no message of this id", field: field)
        }
        guard gateway.postmaster.mayTake(address, party) else {
            throw GatewayError(.forbidden, "the message '\(key)' was not sent to you", field: field)
        }
        return (key, address)
    }

    /// Answers without a task, when something else has the answer.
    /// - Parameter begin: runs at once and must not wait; what it throws is the answer.
    func whenDone(_ begin: @escaping @Sendable (PendingReply) throws -> Void) -> Answer {
        .whenDone { responder in
            let reply = PendingReply(responder: responder, request: request, context: context)
            do {
                try begin(reply)
            } catch {
                reply.fail(error)
            }
        }
    }
}

/// An answer that is to come.
struct PendingReply: Sendable {
    let responder: Responder
    let request: InboundRequest
    let context: APIContext

    func answer(_ response: InboundResponse) { responder.answer(response) }
    func fail(_ error: any Error) { responder.answer(context.response(for: error, request)) }

    /// Answers with what came of it.
    func finish<Value>(_ result: Result<Value, StoreError>, _ body: (Value) throws -> InboundResponse) {
        do {
            responder.answer(try body(try result.get()))
        } catch {
            fail(error)
        }
    }

    /// Goes on in a task: for the rare case that needs a look into the store.
    func later(_ body: @escaping @Sendable () async throws -> InboundResponse) {
        let isTaken = context.errands.add {
            do {
                answer(try await body())
            } catch {
                fail(error)
            }
        }
        if !isTaken { fail(GatewayError(.stopping, "the gateway stops")) }
    }
}
