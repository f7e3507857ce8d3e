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
    /// Reads `apps.<id>.launch`; the reader is nil where the app has none. Faults are reported to the reader
    /// given, or returned as nil with a fault reported to `parent` when the object is missing altogether.
    func target(app: AppID, _ reader: ConfigReader?, parent: ConfigReader) -> (any LaunchTarget)?
    /// Answers a launch with what the device has to do.
    /// - Throws: `GatewayError` when the farm cannot launch the app now.
    func launch(_ target: any LaunchTarget, _ request: LaunchRequest) async throws -> LaunchAction
    /// Work beside launches, such as watching the farm's session list; facts go to `facts`. The default
    /// waits until it is cancelled.
    func run(facts: any FarmFacts) async throws
}

extension Farm {
    package func run(facts: any FarmFacts) async throws {
        while true { try await Task.sleep(for: .seconds(86_400)) }
    }
}

/// A farm's decoded `apps.<id>.launch`.
package protocol LaunchTarget: Sendable {}

/// Takes what a farm knows of sessions. Facts may only lower a presence, unless the farm is trusted.
package protocol FarmFacts: Sendable {
    /// The app's session of an account is disconnected, suspended or hidden at the farm.
    func lower(account: AccountID, app: AppID, reason: String)
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

    package init(
        launch: LaunchID, ticket: Secret, account: AccountID, device: DeviceID, platform: String, app: AppID,
        appName: String, message: MessageKey?, item: String?
    ) {
        (self.launch, self.ticket, self.account, self.device) = (launch, ticket, account, device)
        (self.platform, self.app, self.appName) = (platform, app, appName)
        (self.message, self.item) = (message, item)
    }
}

/// What the device has to do to bring the app up.
package enum LaunchAction: Sendable, Hashable {
    case url(String)
    case file(contentType: String, name: String, body: [UInt8])
}
