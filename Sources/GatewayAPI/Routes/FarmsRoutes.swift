internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// The page that shows apps, and what farms offer to pages and relays.
    mutating func addFarms() {
        let gateway = context.gateway
        let policy = ScreenPage.policy(origins: gateway.configuration.farms.flatMap(\.farm.screenOrigins))
        open("GET", "/screen") { _ in ScreenPage.response(ScreenPage.html, type: "text/html", policy: policy) }
        open("GET", "/screen.js") { _ in
            ScreenPage.response(ScreenPage.script, type: "text/javascript", policy: policy)
        }
        open("GET", "/screen.css") { _ in ScreenPage.response(ScreenPage.looks, type: "text/css", policy: policy) }
        openLater("GET", "/farms/{farm}/{path...}") { request in
            let nothing = GatewayError(.notFound, "there is nothing at this path")
            let path = (request.parameters["path"] ?? "").split(separator: "/", omittingEmptySubsequences: false)
            guard let id = request.parameters["farm"],
                let farm = gateway.configuration.farms.first(where: { $0.id.text == id })?.farm
            else { throw nothing }
            let query = Dictionary(request.query.map { ($0.name, $0.value) }) { first, _ in first }
            guard let answer = await farm.answer(path: path.map(String.init), query: query) else { throw nothing }
            let age = answer.maxAge.map { "max-age=\($0.wholeSeconds)" } ?? "no-store"
            return InboundResponse(
                status: 200, contentType: answer.contentType,
                headers: [
                    "Cache-Control": age, "X-Content-Type-Options": "nosniff",
                    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
                ], body: answer.body)
        }
    }
}
