internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// Servers that tell their news by themselves, instead of being asked.
    mutating func addHooks() {
        let context = context
        for method in ["POST", "PUT"] {
            openLater(method, "/hooks/{app}") { request in
                let call = InboundCall(method: request.method, body: request.body) { request.headers[$0] }
                do {
                    try await context.gateway.hooks.receive(call, app: AppID(request.parameters["app"] ?? ""))
                } catch let refusal as InboundRefusal {
                    throw context.problem(refusal, request)
                }
                return .empty()
            }
        }
    }
}

extension APIContext {
    /// Programs that send credentials only when they are asked for them need the challenge.
    private static let hookChallenge: HTTPFields = ["WWW-Authenticate": "Basic realm=\"farbell-hook\""]

    fileprivate func problem(_ refusal: InboundRefusal, _ request: InboundRequest) -> Problem {
        switch refusal.code {
        case .unauthorized:
            refused(request, GatewayError(.init("bad_signature", .unauthenticated), refusal.message))
            return Problem(401, "bad_signature", refusal.message, headers: Self.hookChallenge)
        case .malformed: return Problem(400, "invalid_field", refusal.message)
        case .conflict: return Problem(409, "conflict", refusal.message)
        }
    }
}
