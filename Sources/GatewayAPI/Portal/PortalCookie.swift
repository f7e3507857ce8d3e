internal import Base
internal import Gateway
internal import Inbound

/// The portal's session: the token of the browser's own device, in a cookie that no script can read.
///
/// `__Host-` (RFC 6265bis section 4.1.3.2) binds it to this very host, with TLS; browsers make an exception for
/// loopback. `SameSite=Strict` keeps it from requests that other sites cause. Where the cookie is what tells who calls,
/// `token(of:)` asks for more than that.
enum PortalCookie {
    static let name = "__Host-farbell"
    /// The header that carries the proof.
    static let proofHeader = "Farbell-CSRF"
    /// The longest that browsers keep one (RFC 6265bis section 5.5); the session ends with the device's token.
    private static let lifetimeSeconds = 400 * 86_400
    private static let attributes = "Path=/; Secure; HttpOnly; SameSite=Strict"

    static func setting(_ token: Secret) -> String {
        "\(name)=\(token.exposed); Max-Age=\(lifetimeSeconds); \(attributes)"
    }

    static let removing = "\(name)=; Max-Age=0; \(attributes)"

    /// The session's token; nil without the cookie.
    static func token(in request: InboundRequest) -> Secret? {
        for line in request.headers.values(of: "Cookie") {
            for pair in line.split(separator: ";") {
                let pair = String(pair).trimmingSpace
                guard pair.hasPrefix(name + "="), pair.utf8.count > name.utf8.count + 1 else { continue }
                return Secret(String(pair.dropFirst(name.utf8.count + 1)))
            }
        }
        return nil
    }
}

extension APIContext {
    /// The token a request carries: in its header, or, for a page of ours, in the cookie.
    /// - Throws: `cross_site`, `csrf`.
    func token(of request: InboundRequest) throws(GatewayError) -> Secret? {
        if case .bearer(let token) = Authorization(request) { return token }
        guard request.headers["Authorization"] == nil else { return nil }
        return try portalToken(of: request)
    }

    /// The token in the cookie of a request that a page of ours sent.
    /// - Throws: `cross_site`, `csrf`.
    func portalToken(of request: InboundRequest) throws(GatewayError) -> Secret? {
        guard let token = PortalCookie.token(in: request) else { return nil }
        try checkSameOrigin(request)
        guard request.method != "GET", request.method != "HEAD" else { return token }
        // Secret compares in constant time.
        guard let proof = request.headers[PortalCookie.proofHeader],
            Secret(proof) == gateway.identities.pageProof(token)
        else {
            throw GatewayError(
                .init("csrf", .forbidden), "send what the session was answered with as '\(PortalCookie.proofHeader)'")
        }
        return token
    }

    /// Refuses what a page of another origin caused. Every browser of today says so in one of these headers.
    /// - Throws: `cross_site`.
    func checkSameOrigin(_ request: InboundRequest) throws(GatewayError) {
        let isOurs: Bool
        switch request.headers["Sec-Fetch-Site"] {
        case "same-origin", "none": isOurs = true
        case .some: isOurs = false
        case nil: isOurs = request.headers["Origin"].map { isOwn(origin: $0, request) } ?? true
        }
        guard isOurs else {
            throw GatewayError(.init("cross_site", .forbidden), "this came from a page of another site")
        }
    }

    /// Behind a proxy the name in `Host` may be another one than browsers see.
    private func isOwn(origin: String, _ request: InboundRequest) -> Bool {
        guard let colon = origin.firstRange(of: "://") else { return false }
        let authority = origin[colon.upperBound...]
        if let host = request.headers["Host"], authority == host { return true }
        let own = options.publicURL.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false).prefix(3)
        return origin == own.joined(separator: "/")
    }
}
