internal import Base
internal import Gateway
internal import Inbound

/// A request of a device, which is known by its token.
struct DeviceCall: Sendable {
    let request: InboundRequest
    let device: Device
    let context: APIContext
    /// Where it came with a presence token: the only run of an app's client that it may speak of.
    var scope: PresenceScope?

    var gateway: Gateway { context.gateway }
    var account: AccountID { device.account }
    /// The `{id}` of the path; the router sees to it that there is one.
    var id: String { request.parameters["id"] ?? "" }
}

/// A request of the administrator's.
struct AdminCall: Sendable {
    let request: InboundRequest
    let context: APIContext

    var gateway: Gateway { context.gateway }
    var id: String { request.parameters["id"] ?? "" }
}

/// Collects the routes, each with who may call it.
struct RouteTable {
    private(set) var router = Router()
    private(set) var names: [String] = []
    let context: APIContext

    init(_ context: APIContext) { self.context = context }

    private mutating func add(_ method: String, _ path: String, _ route: @escaping Router.Route) {
        router.add(method, path, route)
        // The document knows no parameters of several segments.
        names.append("\(method) \(path.hasSuffix("...}") ? path.dropLast(4) + "}" : path[...])")
    }

    /// For anyone, answered in place.
    mutating func open(
        _ method: String, _ path: String, _ body: @escaping @Sendable (InboundRequest) throws -> InboundResponse
    ) {
        add(method, path) { .now(try body($0)) }
    }

    /// For anyone, answered in a task.
    mutating func openLater(
        _ method: String, _ path: String, _ body: @escaping @Sendable (InboundRequest) async throws -> InboundResponse
    ) {
        add(method, path) { request in .later { try await body(request) } }
    }

    /// For an account with its password.
    mutating func basic(
        _ method: String, _ path: String,
        _ body: @escaping @Sendable (InboundRequest, Account) async throws -> InboundResponse
    ) {
        let context = context
        add(method, path) { request in
            .later { try await body(request, try await context.account(of: request)) }
        }
    }

    /// For a device, answered in place: nothing may wait.
    mutating func deviceNow(
        _ method: String, _ path: String, _ body: @escaping @Sendable (DeviceCall) throws -> InboundResponse
    ) {
        let context = context
        add(method, path) { request in
            .now(try body(DeviceCall(request: request, device: try context.device(of: request), context: context)))
        }
    }

    /// For a device, or for a page that shows an app and has a presence token; answered in place.
    mutating func clientNow(
        _ method: String, _ path: String, _ body: @escaping @Sendable (DeviceCall) throws -> InboundResponse
    ) {
        let context = context
        add(method, path) { .now(try body(try context.client(of: $0))) }
    }

    /// For a device, or for a page that shows an app and has a presence token; answered in a task.
    mutating func client(
        _ method: String, _ path: String, _ body: @escaping @Sendable (DeviceCall) async throws -> InboundResponse
    ) {
        let context = context
        add(method, path) { request in
            let call = try context.client(of: request)
            return .later { try await body(call) }
        }
    }

    /// For a device, answered in a task.
    mutating func device(
        _ method: String, _ path: String, _ body: @escaping @Sendable (DeviceCall) async throws -> InboundResponse
    ) {
        let context = context
        add(method, path) { request in
            let call = DeviceCall(request: request, device: try context.device(of: request), context: context)
            return .later { try await body(call) }
        }
    }

    /// For a device or an application, answered in a task.
    mutating func party(
        _ method: String, _ path: String, _ body: @escaping @Sendable (PartyCall) async throws -> InboundResponse
    ) {
        partyChoosing(method, path) { call in .later { try await body(call) } }
    }

    /// For a device or an application; the route chooses how it is answered: see `PartyCall.whenDone`.
    mutating func partyChoosing(
        _ method: String, _ path: String, _ body: @escaping @Sendable (PartyCall) throws -> Answer
    ) {
        let context = context
        add(method, path) { request in
            try body(PartyCall(request: request, party: try context.party(of: request), context: context))
        }
    }

    /// For the administrator, answered in a task: lists may be long.
    mutating func admin(
        _ method: String, _ path: String, _ body: @escaping @Sendable (AdminCall) async throws -> InboundResponse
    ) {
        let context = context
        add(method, path) { request in
            try context.checkAdmin(request)
            return .later { try await body(AdminCall(request: request, context: context)) }
        }
    }
}
