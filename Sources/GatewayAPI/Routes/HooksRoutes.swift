internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// Servers that tell their news by themselves, instead of being asked.
    mutating func addHooks() {
        let context = context
        for method in ["POST", "PUT"] {
            openLater(method, "/hooks/{app}") { request in
                let call = InboundCall(
                    method: request.method, query: request.query.map { ($0.name, $0.value) }, body: request.body
                ) { request.headers[$0] }
                do {
                    let app = AppID(request.parameters["app"] ?? "")
                    return Self.response(try await context.gateway.hooks.receive(call, app: app))
                } catch let refusal as InboundRefusal {
                    throw context.problem(refusal, request)
                }
            }
        }
    }

    private static func response(_ answer: InboundAnswer) -> InboundResponse {
        switch answer {
        case .done: return .empty()
        case .accepted: return .empty(202)
        case .text(let text):
            var response = InboundResponse.text(text)
            // The text is the caller's own: no browser may take it for a page.
            response.headers = ["X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"]
            return response
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
