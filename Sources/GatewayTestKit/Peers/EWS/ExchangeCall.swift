internal import Base
internal import XML

/// Why a request is refused: the code a client gets, and what it had wrong.
struct ExchangeRefusal: Error {
    let code: String
    let reason: String
    init(_ reason: String, code: String = "ErrorSchemaValidation") { (self.reason, self.code) = (reason, code) }
}

/// A request that is what its schema says.
struct ExchangeCall {
    let operation: String
    let element: XMLElement
    /// Whose mailbox it is about.
    let mailbox: String
    let caller: String
    let headers: HTTPFields

    init(_ request: PeerRequest, caller: String, service: String) throws {
        guard request.method == "POST", request.path == "/EWS/Exchange.asmx" else {
            throw ExchangeRefusal("\(request.method) \(request.path)")
        }
        guard request.headers["Content-Type"]?.lowercased() == "text/xml; charset=utf-8" else {
            throw ExchangeRefusal("the content type \(request.headers["Content-Type"] ?? "none")")
        }
        let root = try XMLElement(parsing: request.body)
        guard root.isNamed("Envelope", in: ExchangeWriter.soap), let header = root.child("Header"),
            let body = root.child("Body"), body.children.count == 1,
            let operation = body.children.first, operation.name.namespace == ExchangeWriter.messages
        else { throw ExchangeRefusal("not an envelope with one message") }
        let version = header.child("RequestServerVersion", in: ExchangeWriter.types)?.attribute("Version")
        guard let version,
            ["Exchange2010_SP1", "Exchange2010_SP2", "Exchange2013", "Exchange2013_SP1", "Exchange2016"]
                .contains(version)
        else { throw ExchangeRefusal("the version \(version ?? "none")", code: "ErrorInvalidServerVersion") }
        let impersonated = header.child("ExchangeImpersonation", in: ExchangeWriter.types)?
            .child("ConnectingSID")?.text(of: "PrimarySmtpAddress")
        if caller == service {
            guard let impersonated, impersonated.contains("@") else {
                throw ExchangeRefusal("the service impersonates nobody", code: "ErrorNonExistentMailbox")
            }
            mailbox = impersonated
        } else {
            guard impersonated == nil else {
                throw ExchangeRefusal("\(caller) must not impersonate", code: "ErrorImpersonateUserDenied")
            }
            mailbox = caller
        }
        (self.operation, element, self.caller, headers) = (operation.name.local, operation, caller, request.headers)
    }

    /// The server that the cookie of an earlier answer names.
    var cookieServer: String? {
        let cookies = headers.values(of: "Cookie").flatMap { $0.split(separator: ";") }.map { String($0).trimmingSpace }
        return cookies.first { $0.hasPrefix("X-BackEndOverrideCookie=") }
            .map { String($0.dropFirst("X-BackEndOverrideCookie=".count)) }
    }

    /// The server the request is led to: by the cookie, or else by the anchor mailbox.
    func server(generation: Int) -> String? {
        if let cookieServer { return cookieServer }
        guard headers["X-PreferServerAffinity"] == "true", let anchor = headers["X-AnchorMailbox"] else { return nil }
        return "\(generation)-\(anchor.utf8.reduce(0) { $0 &+ Int($1) } % 3)"
    }
}
