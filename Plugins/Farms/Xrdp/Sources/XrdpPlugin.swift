package import Base
internal import FarmTools
package import Gateway

/// Farms of Linux desktops behind xrdp. An `.rdp` file brings the user in; since xrdp leads back to the running
/// session and ignores the program asked for, a program inside the session fetches the launch.
package struct XrdpPlugin: FarmPlugin {
    package init() {}

    package var kind: String { "xrdp" }

    package func configure(farm: FarmID, _ reader: ConfigReader, _ context: PluginContext) -> (any Farm)? {
        let address = reader.string("address")
        if !address.isEmpty, (try? WebAddress("https://\(address)")) == nil || address.contains("/") {
            reader.report("address", "expected a host or host:port")
        }
        let start = reader.string("start", default: "/usr/local/lib/farbell/farm-start")
        if !start.hasPrefix("/") || !XrdpFarm.isWord(start) {
            reader.report("start", "expected the path of farm-start on the farm's host, without spaces")
        }
        var users: [AccountID: String] = [:]
        let given = reader.object("users") { reader in
            reader.keys.map { (AccountID($0), reader.string($0)) }
        }
        for (account, user) in given ?? [] { users[account] = user }
        let watch = reader.object("watch") { XrdpWatch($0, time: context.time) }
        let isTrusted = reader.bool("trustFarmVisibility", default: false)
        if isTrusted, watch?.probes != true {
            reader.report("trustFarmVisibility", "needs 'watch.probe': nothing else sees whether a session is drawn")
        }
        let poll = reader.seconds("pollSeconds", in: 1...60, default: 2)
        return XrdpFarm(
            address: address, start: start, users: users, watch: watch, isTrusted: isTrusted,
            poll: FactPoll(farm: farm, interval: poll, time: context.time, log: context.log))
    }
}

/// One such farm.
package final class XrdpFarm: Farm {
    /// Platforms whose client opens `rdp://` URIs and cannot easily be handed a file.
    static let uriPlatforms: Set<String> = ["ios", "android", "macos"]

    private let address: String
    private let start: String
    private let users: [AccountID: String]
    private let watch: XrdpWatch?
    private let poll: FactPoll
    package let isTrusted: Bool

    init(
        address: String, start: String, users: [AccountID: String], watch: XrdpWatch?, isTrusted: Bool, poll: FactPoll
    ) {
        self.isTrusted = isTrusted
        (self.address, self.start, self.users, self.watch, self.poll) = (address, start, users, watch, poll)
    }

    private struct Target: LaunchTarget {}

    /// Letters, digits and `/._~-`: what no shell reads as more than a word.
    static func isWord(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20)
                    || [0x2D, 0x2E, 0x2F, 0x5F, 0x7E].contains($0)
            }
    }

    package func target(app: AppID, _ reader: ConfigReader?, parent: ConfigReader) -> (any LaunchTarget)? {
        guard Self.isWord(app.text) else {
            (reader ?? parent).report(nil, "an app of an xrdp farm has an id of letters, digits, '-', '_' and '.'")
            return nil
        }
        return Target()
    }

    private func user(of account: AccountID) -> String { users[account] ?? account.text }

    package func launch(_ target: any LaunchTarget, _ request: LaunchRequest) async throws -> LaunchAction {
        var settings = RDPSettings()
        settings.add("full address", address)
        settings.add("alternate full address", address)
        settings.add("alternate shell", "\(start) \(request.app) \(request.ticket.exposed)")
        settings.add("username", user(of: request.account))
        settings.add("prompt for credentials", 0)
        settings.add("promptcredentialonce", 1)
        settings.add("authentication level", 2)
        settings.add("autoreconnection enabled", 1)
        settings.add("screen mode id", 1)
        settings.add("dynamic resolution", 1)
        if Self.uriPlatforms.contains(request.platform.lowercased()) { return .url(settings.uri) }
        return .file(contentType: "application/x-rdp", name: "\(request.app).rdp", body: try settings.file(signer: nil))
    }

    package func start(_ target: any LaunchTarget, _ request: LaunchRequest) async throws -> LaunchStart { .program }

    package func run(apps: [AppID: any LaunchTarget], facts: any FarmFacts) async throws {
        // Farbell is not on the farm's host: nothing is known.
        guard let watch else { while true { try await Task.sleep(for: .seconds(86_400)) } }
        try await poll.run(apps: Set(apps.keys), facts: facts) { [self] subjects in
            let states = try await watch.look(at: Set(subjects.map { user(of: $0.account) }))
            return Dictionary(
                uniqueKeysWithValues: subjects.compactMap { subject in
                    states[user(of: subject.account)].map { (subject, $0) }
                })
        }
    }
}
