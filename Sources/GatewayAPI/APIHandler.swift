package import Base
package import Gateway
package import Inbound

/// The HTTP API over a gateway: finds the route, checks who calls, and turns errors into answers.
///
/// Its `services` must run as long as the server does: start them after the gateway's and before the
/// server, so that they stop after it.
package final class APIHandler: RequestHandler {
    private let context: APIContext
    private let router: Router
    /// Every route as `METHOD /path`, in the order they were added.
    package let routes: [String]

    package init(gateway: Gateway, options: APIOptions) {
        let context = APIContext(gateway, options)
        var routes = RouteTable(context)
        routes.addSystem()
        routes.addDevices()
        routes.addRegistrations()
        routes.addSessions()
        routes.addStream()
        routes.addMessages()
        routes.addQueue()
        routes.addSettlements()
        routes.addPeople()
        routes.addConversations()
        routes.addAccount()
        routes.addLaunches()
        routes.addFarms()
        routes.addFeed()
        routes.addPortal()
        routes.addAdmin()
        routes.addHooks()
        (self.context, router, self.routes) = (context, routes.router, routes.names)
    }

    /// What runs beside the server: tells the gateway which streams have ended, ends waits, looks settlements up.
    package var services: [any Service] { [context.streamEnds, context.waits, context.errands] }

    package func answer(_ request: InboundRequest) throws -> Answer {
        let start = context.gateway.time.now
        do {
            switch try router.answer(request) {
            case .now(let response): return .now(answered(response, request, start))
            case .later(let work):
                return .later { [self] in
                    do {
                        return answered(try await work(), request, start)
                    } catch let error as CancellationError {
                        // The server stops; it says so itself.
                        throw error
                    } catch {
                        return answered(context.response(for: error, request), request, start)
                    }
                }
            case .whenDone(let begin):
                return .whenDone { [self] responder in
                    responder.onAnswer { self.count($0, request, start) }
                    begin(responder)
                }
            }
        } catch {
            return .now(answered(context.response(for: error, request), request, start))
        }
    }

    private func answered(_ response: InboundResponse, _ request: InboundRequest, _ start: Moment) -> InboundResponse {
        count(response, request, start)
        return response
    }

    /// Counts an answer, and writes it down for whoever looks for something.
    private func count(_ response: InboundResponse, _ request: InboundRequest, _ start: Moment) {
        context.requests.withLock { $0[response.status, default: 0] += 1 }
        let gateway = context.gateway
        gateway.log.debug(
            "http.answered", "A request was answered",
            [
                "requestId": .string(request.id), "method": .string(request.method),
                // What follows /l/ is what a tap brings back: a secret of the device's.
                "path": .string(request.segments.first == "l" ? "/l/" : request.rawPath),
                "status": .count(response.status), "milliseconds": .milliseconds(gateway.time.now - start),
            ])
    }
}

/// What all routes work with.
final class APIContext: Sendable {
    let gateway: Gateway
    let options: APIOptions
    let rates: Locked<RateTable>
    /// Edits and withdrawals: each may ring the other side's devices anew, and is a write for both.
    let changes = Locked(RateTable(perSecond: 2))
    /// Answers by status since the start.
    let requests = Locked<[Int: Int]>([:])
    let streamEnds: StreamEnds
    let waits: Waits
    let errands = Errands()
    /// Refused tokens are logged, but not faster than this bucket allows.
    private let refusals = Locked(RateTable(perSecond: 1, limit: 1))

    init(_ gateway: Gateway, _ options: APIOptions) {
        (self.gateway, self.options) = (gateway, options)
        rates = Locked(RateTable(perSecond: gateway.configuration.limits.requestsPerSecond))
        streamEnds = StreamEnds(gateway.streams)
        waits = Waits(mailroom: gateway.mailroom, time: gateway.time)
    }

    /// The device or application whose token or key the request carries.
    /// - Throws: `bad_token`, `account_disabled`, `rate_limited`.
    func party(of request: InboundRequest) throws -> Party {
        guard let token = try token(of: request) else {
            throw GatewayError(.badToken, "send the device's token, or the app's key, as 'Authorization: Bearer …'")
        }
        let party: Party
        do throws(GatewayError) {
            party = try gateway.authenticate(token)
        } catch {
            refused(request, error)
            throw error
        }
        try takeTurn(party.rateName)
        return party
    }

    /// Counts a request of a caller's.
    /// - Throws: `rate_limited`.
    func takeTurn(_ caller: String) throws(GatewayError) {
        let now = gateway.time.now
        if let wait = rates.withLock({ $0.take(caller, now: now) }) {
            throw GatewayError(
                .rateLimited, "this device or app sends more requests than limits.requestsPerSecond allows",
                retryAfterSeconds: Int(wait.wholeSeconds) + 1)
        }
    }

    /// The device whose token the request carries.
    /// - Throws: as `party`, and `forbidden` for an application's key.
    func device(of request: InboundRequest) throws -> Device {
        guard let device = try party(of: request).device else {
            throw GatewayError(.forbidden, "this is for devices; an app's key does not open it")
        }
        return device
    }

    /// The answer to an error; of one nobody expected the log tells.
    func response(for error: any Error, _ request: InboundRequest) -> InboundResponse {
        if let problem = Problems.problem(for: error) { return .problem(problem) }
        gateway.log.error(
            "http.failed", "A request could not be answered because of a fault of ours",
            ["requestId": .string(request.id), "error": .string("\(error)")])
        return .problem(Problem(500, "internal_error", "The server failed to answer this request."))
    }

    /// The account whose name and password the request carries.
    /// - Throws: `bad_credentials`, `account_disabled`, `rate_limited`.
    func account(of request: InboundRequest) async throws -> Account {
        guard case .basic(let name, let password) = Authorization(request) else {
            throw GatewayError(.badCredentials, "send the account's name and password with Basic authentication")
        }
        return try await authenticate(name, password, request)
    }

    /// - Throws: `bad_credentials`, `account_disabled`, `rate_limited`.
    func authenticate(_ name: String, _ password: Secret, _ request: InboundRequest) async throws -> Account {
        try await gateway.accounts.authenticate(name, password, peer: peer(of: request))
    }

    /// Who really calls: the connection's other end, or whom a trusted proxy there speaks for. Of the addresses
    /// in `X-Forwarded-For` only the last was written by that proxy; the others anyone may have made up.
    func peer(of request: InboundRequest) -> String {
        guard options.trustedProxies.contains(request.peerAddress),
            let last = request.headers["X-Forwarded-For"]?.split(separator: ",").last
        else { return request.peerAddress }
        let address = String(last).trimmingSpace
        return address.isEmpty || address.utf8.count > 64 ? request.peerAddress : address
    }

    /// - Throws: `bad_token`, or `forbidden` for a device's token or an app's key.
    func checkAdmin(_ request: InboundRequest) throws {
        guard case .bearer(let token) = Authorization(request) else {
            throw GatewayError(.badToken, "send the administrator's token as 'Authorization: Bearer …'")
        }
        // Secret compares in constant time. An empty token file must not open the door.
        if !options.adminToken.isEmpty, token == options.adminToken { return }
        let error: GatewayError
        do throws(GatewayError) {
            _ = try gateway.authenticate(token)
            error = GatewayError(.forbidden, "this needs the administrator's token")
        } catch let refusal {
            error = refusal
        }
        refused(request, error)
        throw error
    }

    /// Writes a refusal down, unless there are too many.
    func refused(_ request: InboundRequest, _ error: GatewayError) {
        let now = gateway.time.now
        guard refusals.withLock({ $0.take("", now: now) }) == nil else { return }
        gateway.log.warning(
            .authRefused, "A token was refused",
            [
                "requestId": .string(request.id), "address": .string(peer(of: request)),
                "code": .string(error.code.name),
            ])
    }
}
