internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// What machines ask: is it alive, is it ready, how is it doing, what can it do.
    mutating func addSystem() {
        let context = context
        open("GET", "/healthz") { _ in .json(["status": "ok"]) }
        open("GET", "/readyz") { _ in
            guard context.isReady else {
                throw Problem(
                    503, "not_ready",
                    context.gateway.isReady ? "The gateway is starting." : "The store takes no writes.")
            }
            return .json(["status": "ready"])
        }
        open("GET", "/metrics") { _ in
            .text(Statistics(context).text(.now()), contentType: "text/plain; version=0.0.4; charset=utf-8")
        }
        // Before it has a device, a browser needs the key to subscribe with; the key is public.
        open("GET", "/v1/push") { _ in
            let items = context.gateway.pushServices.map { service -> JSON in
                var item: JSONObject = ["name": .string(service.name), "kind": .string(service.kind)]
                if let key = service.subscriptionKey { item["applicationServerKey"] = .string(key) }
                return .object(item)
            }
            return .json(["items": .array(items)])
        }
        let document = OpenAPI.document(publicURL: context.options.publicURL, version: context.options.version)
            .serializedBytes
        open("GET", "/openapi.json") { _ in .json(bytes: document) }
    }
}

extension APIContext {
    var isReady: Bool { gateway.isReady && options.isStarted() }
}
