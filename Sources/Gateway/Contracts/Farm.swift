package import Base

/// A kind of farm, as a plugin offers it.
package protocol FarmPlugin: Sendable {
    /// The value of `kind` in the configuration.
    var kind: String { get }
    /// Reads the plugin's own keys of `farms.<id>`. Must not connect. Faults are reported to the reader;
    /// nil only after one.
    func configure(farm: FarmID, _ reader: ConfigReader, _ context: PluginContext) -> (any Farm)?
}

/// Where apps run: knows how to launch, and some know which sessions are connected or hidden.
package protocol Farm: Sendable {
    /// Whether launches need the credentials of the account's registration: only then are they opened.
    var usesCredentials: Bool { get }
    /// Whether its word that a client is visible counts where the client cannot report, because the administrator says
    /// so (`trustFarmVisibility`).
    var isTrusted: Bool { get }
    /// What the screen page must be allowed to open, such as `wss://farm.example:6080` (CSP sources).
    var screenOrigins: [String] { get }

    /// Reads `apps.<id>.launch`; the reader is nil where the app has none. Faults are reported to the reader
    /// given, or returned as nil with a fault reported to `parent` when the object is missing altogether.
    func target(app: AppID, _ reader: ConfigReader?, parent: ConfigReader) -> (any LaunchTarget)?
    /// Answers a launch with what the device has to do. May be asked again for the same launch.
    /// - Throws: `GatewayError` when the farm cannot launch the app now.
    func launch(_ target: any LaunchTarget, _ request: LaunchRequest) async throws -> LaunchAction
    /// Starts or finds the app, once for each ticket: whoever brought it is told how to get to it.
    /// - Throws: `GatewayError` when the farm cannot; the ticket is good again then.
    func start(_ target: any LaunchTarget, _ request: LaunchRequest) async throws -> LaunchStart
    /// A file that opens the app without a ticket, for clients that fetch a list of the account's apps and keep it
    /// (an RD Web feed); nil where there is no such thing.
    /// - Throws: `GatewayError`.
    func feedFile(_ target: any LaunchTarget, account: AccountID, app: AppID, name: String) throws -> [UInt8]?
    /// Answers `GET /farms/<id>/<path>`, for pages and for what relays at the farm ask; nil: there is nothing.
    func answer(path: [String], query: [String: String]) async -> FarmAnswer?
    /// Work beside launches, such as watching the farm's session list; facts go to `facts`. The default
    /// waits until it is cancelled.
    /// - Parameter apps: those of this farm.
    func run(apps: [AppID: any LaunchTarget], facts: any FarmFacts) async throws
}

extension Farm {
    package var usesCredentials: Bool { false }
    package var isTrusted: Bool { false }
    package var screenOrigins: [String] { [] }
    package func start(_ target: any LaunchTarget, _ request: LaunchRequest) async throws -> LaunchStart { .nothing }
    package func feedFile(
        _ target: any LaunchTarget, account: AccountID, app: AppID, name: String
    ) throws -> [UInt8]? { nil }
    package func answer(path: [String], query: [String: String]) async -> FarmAnswer? { nil }
    package func run(apps: [AppID: any LaunchTarget], facts: any FarmFacts) async throws {
        while true { try await Task.sleep(for: .seconds(86_400)) }
    }
}

/// A farm's decoded `apps.<id>.launch`.
package protocol LaunchTarget: Sendable {}

/// Takes what a farm knows of sessions. Facts may only lower what clients report; a trusted farm speaks for those that
/// cannot.
package protocol FarmFacts: Sendable {
    /// Whose clients of these apps say that they are in front, or cannot say it: nobody else's state matters.
    func inFront(apps: Set<AppID>) -> Set<FarmSubject>
    func take(_ fact: FarmFact)
}

/// Whose clients of which app a fact is about.
package struct FarmSubject: Sendable, Hashable {
    package let account: AccountID
    package let app: AppID

    package init(account: AccountID, app: AppID) { (self.account, self.app) = (account, app) }
}

/// What a farm knows of all clients together that show one app of one account.
package struct FarmFact: Sendable, Hashable {
    package enum State: String, Sendable, CaseIterable {
        /// Nothing: the farm was not asked, does not answer, or does not know.
        case unknown
        /// A client is connected; whether it can be seen is not known. Never raises anything.
        case connected
        /// A client is connected and draws what the app shows.
        case visible
        /// Clients are connected, and every one of them is hidden or suspended.
        case hidden
        /// No client is connected.
        case disconnected

        /// Whether it speaks against a client's report that the app is in front.
        package var lowers: Bool { self == .hidden || self == .disconnected }
    }

    package let subject: FarmSubject
    package let state: State
    /// When the farm was asked: a client's own change after that is news that the farm did not have.
    package let seen: Moment
    /// How long the fact counts when nothing newer comes; then it is `unknown`.
    package let lasts: Duration

    package init(_ subject: FarmSubject, _ state: State, seen: Moment, lasts: Duration) {
        (self.subject, self.state, self.seen, self.lasts) = (subject, state, seen, lasts)
    }
}

/// What a launch asks of a farm.
package struct LaunchRequest: Sendable {
    package let launch: LaunchID
    /// The single-use ticket that redeems the launch.
    package let ticket: Secret
    package let account: AccountID
    package let device: DeviceID
    package let platform: String
    package let app: AppID
    package let appName: String
    package let message: MessageKey?
    /// The item's key in its registration, where a message was tapped.
    package let item: String?
    /// Of the account's registration for the app, where the farm uses them; empty without a registration.
    package let credentials: [String: Secret]

    package init(
        launch: LaunchID, ticket: Secret, account: AccountID, device: DeviceID, platform: String, app: AppID,
        appName: String, message: MessageKey?, item: String?, credentials: [String: Secret] = [:]
    ) {
        (self.launch, self.ticket, self.account, self.device) = (launch, ticket, account, device)
        (self.platform, self.app, self.appName) = (platform, app, appName)
        (self.message, self.item, self.credentials) = (message, item, credentials)
    }
}

/// What the device has to do to bring the app up.
package enum LaunchAction: Sendable, Hashable {
    case url(String)
    /// Farbell's own page that shows the app, brought up with the launch's ticket. A portal may frame it.
    case screen
    case file(contentType: String, name: String, body: [UInt8])
}

/// How whoever brought a ticket gets to the app.
package enum LaunchStart: Sendable, Hashable {
    /// It is there already, or the client needs nothing more.
    case nothing
    /// The app's screen, by the RFB protocol over a WebSocket; `module` is noVNC's `core/rfb.js` on this server.
    case rfb(module: String, socket: Secret, password: Secret?)
    /// A page that shows the app.
    case frame(url: Secret)
    /// A program inside the farm's session brought the ticket: it starts the app, or raises its window. Which command
    /// that is, the farm's own host knows: nothing that comes over the network is executed there.
    case program
}

/// What a farm answers a request with.
package struct FarmAnswer: Sendable, Hashable {
    package let contentType: String
    package let body: [UInt8]
    /// How long browsers may keep it; nil: not at all.
    package let maxAge: Duration?

    package init(contentType: String, body: [UInt8], maxAge: Duration? = nil) {
        (self.contentType, self.body, self.maxAge) = (contentType, body, maxAge)
    }
}
