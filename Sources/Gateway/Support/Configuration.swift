package import Base

/// The plugins this program was built with.
package struct PluginCatalog: Sendable {
    package let monitors: [any MonitorPlugin]
    package let pushes: [any PushPlugin]
    package let farms: [any FarmPlugin]
    package let bridges: [any BridgePlugin]
    /// How applications are called; nil where that is not to be configured.
    package var callback: (any AppCallbackPlugin)?

    package init(
        monitors: [any MonitorPlugin], pushes: [any PushPlugin], farms: [any FarmPlugin],
        bridges: [any BridgePlugin] = []
    ) {
        (self.monitors, self.pushes, self.farms, self.bridges) = (monitors, pushes, farms, bridges)
    }
}

/// The defaults under `notify`.
package struct NotifyDefaults: Sendable, Hashable {
    package var summary: NotifyPreferences.Summary = .digest
    package var targets: NotifyPreferences.Targets = .latest
    /// How long a device has to acknowledge what came on its stream before it is pushed to.
    package var ack: Duration = .seconds(10)
    /// Within this time of a notification, further ones of the same app wait for one digest; zero: never.
    package var group: Duration = .seconds(30)
    /// How long an item waits for being read elsewhere before it rings.
    package var hold: Duration = .zero
    /// How long an item's message is kept.
    package var itemTTL: Duration = .seconds(7 * 86_400)
    package var quietHours: NotifyPreferences.QuietHours?
    /// How long what was sent through a channel has to be acknowledged before the device's next one is used.
    package var escalation: Duration = .seconds(60)
    /// Notifications a device is shown in a minute before further ones wait for the next digest; 0: no limit.
    package var devicePerMinute = 20
    package var templates = NotifyTemplates()

    package init() {}

    package init(_ reader: ConfigReader) {
        self.init()
        summary = reader.choice("summary", default: summary)
        if let value = reader.value("targets") {
            do throws(GatewayError) {
                targets = try NotifyPreferences.Targets(json: value)
                if case .devices = targets {
                    reader.report("targets", "a list of devices belongs to a registration, not to the default")
                }
            } catch {
                reader.report("targets", error.message)
            }
        }
        ack = reader.seconds("ackSeconds", in: 1...3600, default: 10)
        group = reader.seconds("groupSeconds", in: 0...86_400, default: 30)
        hold = reader.seconds("holdSeconds", in: 0...3600, default: 0)
        itemTTL = reader.seconds("itemTTLSeconds", in: 60...31_536_000, default: 7 * 86_400)
        escalation = reader.seconds("escalateSeconds", in: 5...86_400, default: 60)
        devicePerMinute = reader.integer("devicePerMinute", in: 0...100_000, default: devicePerMinute)
        templates = NotifyTemplates(reader)
        if let value = reader.value("quietHours") {
            do throws(GatewayError) {
                quietHours = try NotifyPreferences.QuietHours(json: value)
            } catch {
                reader.report("quietHours", error.message)
            }
        }
    }
}

/// A configured push service.
package struct ConfiguredPush: Sendable {
    package let name: String
    package let kind: String
    package let adapter: any PushAdapter
    /// Pushes under way at once.
    package let concurrency: Int
    /// Pushes that leave in a second; nil: as many as get through.
    package let ratePerSecond: Double?

    /// What the core reads of every kind, besides `kind`.
    package static let commonKeys = ["concurrency", "ratePerSecond"]

    /// What `concurrency` and `ratePerSecond` may be.
    package static let concurrencies = 1...10_000
    package static let rates = 0.01...100_000

    /// - Parameter concurrency: nil: what the adapter thinks good.
    package init(
        name: String, kind: String, adapter: any PushAdapter, concurrency: Int? = nil, ratePerSecond: Double? = nil
    ) {
        (self.name, self.kind, self.adapter) = (name, kind, adapter)
        self.concurrency = concurrency ?? adapter.concurrency
        self.ratePerSecond = ratePerSecond
    }

    /// Reads what is common to all kinds.
    init(name: String, kind: String, adapter: any PushAdapter, _ reader: ConfigReader) {
        self.init(
            name: name, kind: kind, adapter: adapter,
            concurrency: reader.optionalInteger("concurrency", in: Self.concurrencies),
            ratePerSecond: reader.has("ratePerSecond")
                ? reader.number("ratePerSecond", in: Self.rates, default: Self.rates.upperBound) : nil)
    }
}

/// A configured farm.
package struct ConfiguredFarm: Sendable {
    package let id: FarmID
    package let kind: String
    package let farm: any Farm

    package init(id: FarmID, kind: String, farm: any Farm) { (self.id, self.kind, self.farm) = (id, kind, farm) }
}

/// The part of the configuration that the core works from.
package struct GatewayConfiguration: Sendable {
    package var notify = NotifyDefaults()
    package var limits = Limits()
    /// How accounts become contacts (`people.contacts`).
    package var contacts = ContactBook.Rule.directory
    package var farms: [ConfiguredFarm] = []
    package var apps: [App] = []
    package var pushes: [ConfiguredPush] = []
    package var bridges: [ConfiguredBridge] = []
    /// How long what accounts say to one another is kept; zero: not at all.
    package var history: Duration = .seconds(ConversationRules.defaultDays * 86_400)

    package init() {}

    /// Reads `notify`, `limits`, `history`, `people`, `farms`, `apps`, `push` and `bridges`. Does not connect to anything.
    package init(_ reader: ConfigReader, plugins: PluginCatalog, context: PluginContext) {
        notify = reader.object("notify") { NotifyDefaults($0) } ?? NotifyDefaults()
        limits = reader.object("limits") { Limits($0) } ?? Limits()
        contacts = reader.object("people") { $0.choice("contacts", default: .directory) } ?? .directory
        history = reader.object("history", Self.retention) ?? history
        farms = reader.map("farms") { name, reader in
            guard let plugin = Self.plugin(of: plugins.farms, kind: \.kind, reader) else { return nil }
            return plugin.configure(farm: FarmID(name), reader, context)
                .map { ConfiguredFarm(id: FarmID(name), kind: plugin.kind, farm: $0) }
        }.map(\.value)
        pushes = reader.map("push") { name, reader in
            guard let plugin = Self.plugin(of: plugins.pushes, kind: \.kind, reader) else { return nil }
            return plugin.configure(name: name, reader, context)
                .map { ConfiguredPush(name: name, kind: plugin.kind, adapter: $0, reader) }
        }.map(\.value)
        let farms = farms
        apps = reader.map("apps") { name, reader in
            Self.app(AppID(name), reader, farms: farms, plugins: plugins, context: context)
        }.map(\.value)
        bridges = reader.map("bridges") { name, reader in
            guard let plugin = Self.plugin(of: plugins.bridges, kind: \.kind, reader) else { return nil }
            return plugin.configure(bridge: name, reader, context)
                .map { ConfiguredBridge(name: name, kind: plugin.kind, bridge: $0) }
        }.map(\.value)
        var owners: [Secret: AppID] = [:]
        for app in apps {
            guard let key = app.key else { continue }
            if let other = owners[key] {
                reader.report("apps", "'\(other)' and '\(app.id)' have the same key; every app needs its own")
            }
            owners[key] = app.id
        }
    }

    /// An app's key. A file that is not there is no fault: `farbell app key` makes it, and until then the app
    /// cannot call.
    private static func key(_ reader: ConfigReader) -> (key: Secret?, file: String?) {
        let file = reader.value("key")?["file"]?.string.map(reader.document.resolve)
        if let file, !FileSystem.exists(file) { return (nil, file) }
        guard let key = reader.optionalSecret("key") else { return (nil, nil) }
        if !key.isEmpty, key.bytes.count < App.keyLength {
            reader.report(
                "key", "the key has fewer than \(App.keyLength) characters; 'farbell app key NAME' makes a good one")
        }
        return (key.isEmpty ? nil : key, file)
    }

    private static func retention(_ reader: ConfigReader) -> Duration {
        let days = reader.integer(
            "retentionDays", in: ConversationRules.days, default: ConversationRules.defaultDays)
        return .seconds(days * 86_400)
    }

    private static func plugin<Plugin>(
        of plugins: [Plugin], kind: (Plugin) -> String, _ reader: ConfigReader
    ) -> Plugin? {
        let wanted = reader.string("kind")
        if let plugin = plugins.first(where: { kind($0) == wanted }) { return plugin }
        if !wanted.isEmpty {
            let known = plugins.map(kind)
            reader.report(
                "kind",
                "unknown kind '\(wanted)'; known: \(known.sorted().joined(separator: ", "))"
                    + Suggestion.text(for: wanted, among: known))
        }
        reader.ignore(reader.keys)
        return nil
    }

    private static func app(
        _ id: AppID, _ reader: ConfigReader, farms: [ConfiguredFarm], plugins: PluginCatalog, context: PluginContext
    ) -> App? {
        let name = reader.string("name", default: id.text)
        var farm: ConfiguredFarm?
        if let wanted = reader.optionalString("farm") {
            farm = farms.first { $0.id.text == wanted }
            if farm == nil {
                reader.report(
                    "farm",
                    "there is no farm '\(wanted)' under 'farms'"
                        + Suggestion.text(for: wanted, among: farms.map(\.id.text)))
            }
        }
        var target: (any LaunchTarget)?
        if let farm {
            if reader.has("launch") {
                target = reader.object("launch") { farm.farm.target(app: id, $0, parent: reader) } ?? nil
            } else {
                target = farm.farm.target(app: id, nil, parent: reader)
            }
        } else if reader.has("launch") {
            _ = reader.value("launch")
            reader.report("launch", "needs 'farm': a launch is answered by the app's farm")
        }
        var kind: String?
        let monitor =
            reader.object("monitor") { reader -> (any Monitor)? in
                guard let plugin = Self.plugin(of: plugins.monitors, kind: \.kind, reader) else { return nil }
                kind = plugin.kind
                return plugin.configure(app: id, reader, context)
            } ?? nil
        var app = App(
            id: id, name: name, farm: farm?.id, farmLink: farm?.farm, launch: target, monitorKind: kind,
            monitor: monitor)
        app.ownAddresses = reader.strings("ownAddresses")
        app.history = reader.object("history", retention) ?? app.history
        (app.key, app.keyFile) = key(reader)
        if let callback = plugins.callback {
            app.callback =
                reader.object("callback") { reader in
                    app.callbackPresence = reader.bool("presence", default: false)
                    return callback.configure(app: id, reader, context)
                } ?? nil
        }
        return app
    }
}
