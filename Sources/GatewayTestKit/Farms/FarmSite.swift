package import Base
package import Gateway
internal import Glibc

/// One farm with one app, read from its configuration as the host reads it.
package struct FarmSite: Sendable {
    package let farm: any Farm
    package let target: any LaunchTarget

    /// - Parameters:
    ///   - text: the members of `farms.web`, without braces.
    ///   - launch: `apps.mail.launch`; nil for none.
    /// - Throws: `ConfigError` with all faults.
    package init(
        _ plugin: any FarmPlugin, _ text: String, launch: String? = nil, time: any TimeSource, log: Log,
        transport: any HTTPTransport = NoTransport(), folder: String = "."
    ) throws(ConfigError) {
        let launch = launch.map { #","launch":\#($0)"# } ?? ""
        let config = #"{"farm":{\#(text)},"app":{"name":"Mail"\#(launch)}}"#
        let document = ConfigDocument(file: "\(folder)/config.json", text: Array(config.utf8), environment: [:])
        let context = PluginContext(transport: transport, time: time, log: log)
        let pair = try document.read { reader -> (any Farm, any LaunchTarget)? in
            guard let farm = reader.object("farm", { plugin.configure(farm: "web", $0, context) }) ?? nil else {
                reader.ignore(["app"])
                return nil
            }
            let target = reader.object("app") { reader -> (any LaunchTarget)? in
                reader.ignore(["name"])
                guard reader.has("launch") else { return farm.target(app: "mail", nil, parent: reader) }
                return reader.object("launch") { farm.target(app: "mail", $0, parent: reader) } ?? nil
            }
            return (target ?? nil).map { (farm, $0) }
        }
        guard let pair else { throw ConfigError(problems: []) }
        (farm, target) = pair
    }

    package func launch(_ request: LaunchRequest) async throws -> LaunchAction {
        try await farm.launch(target, request)
    }

    package func start(_ request: LaunchRequest) async throws -> LaunchStart {
        try await farm.start(target, request)
    }

    package static func request(
        account: AccountID = "alice", platform: String = "web", item: String? = nil,
        credentials: [String: Secret] = [:]
    ) -> LaunchRequest {
        LaunchRequest(
            launch: "lch_1", ticket: Secret("flt_ticket"), account: account, device: "dev_1", platform: platform,
            app: "mail", appName: "Mail", message: nil, item: item, credentials: credentials)
    }
}

/// Facts as a test gives and takes them.
package final class RecordingFacts: FarmFacts {
    package let subjects = Locked<Set<FarmSubject>>([])
    package let facts = Recorder<FarmFact>()

    package init(_ subjects: Set<FarmSubject> = []) { self.subjects.withLock { $0 = subjects } }

    package func inFront(apps: Set<AppID>) -> Set<FarmSubject> {
        subjects.withLock { $0.filter { apps.contains($0.app) } }
    }

    package func take(_ fact: FarmFact) { facts.append(fact) }
}

extension TemporaryFolder {
    /// Writes a shell script that may be run; `body` stands behind its first line.
    /// - Returns: its path.
    /// - Throws: `PeerError`.
    @discardableResult
    package func script(_ body: String, to name: String) throws -> String {
        let path = try write("#!/bin/sh\n\(body)\n", to: name)
        guard unsafe chmod(path, 0o755) == 0 else { throw PeerError(.file, "\(name): \(FileSystem.lastError)") }
        return path
    }

    /// A file's text.
    /// - Throws: `PeerError`.
    package func text(of name: String) throws -> String {
        guard let bytes = FileSystem.contents(of: file(name), limit: 1 << 20) else {
            throw PeerError(.file, "\(name): \(FileSystem.lastError)")
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
