import Base
import Gateway
import GatewayTestKit
import RDPFarm

/// Farms and launch targets by name, read as the host reads them.
struct Configured {
    var farms: [String: any Farm] = [:]
    var targets: [String: (farm: any Farm, target: any LaunchTarget)] = [:]

    /// - Throws: all faults of the configuration.
    init(_ text: String, folder: String = ".") throws(ConfigError) {
        let context = PluginContext(transport: NoTransport(), time: SystemTime(), log: Log(sink: NullLogSink()))
        let document = ConfigDocument(file: "\(folder)/config.json", text: Array(text.utf8), environment: [:])
        self = try document.read { reader in
            var result = Configured()
            for (name, farm) in reader.map(
                "farms",
                { name, reader -> (any Farm)? in
                    _ = reader.string("kind")
                    return RDPPlugin().configure(farm: FarmID(name), reader, context)
                })
            {
                result.farms[name] = farm
            }
            for (name, pair) in reader.map(
                "apps",
                { name, reader -> (farm: any Farm, target: any LaunchTarget)? in
                    reader.ignore(["name"])
                    guard let farm = result.farms[reader.string("farm")] else { return nil }
                    let id = AppID(name)
                    let target =
                        reader.has("launch")
                        ? reader.object("launch") { farm.target(app: id, $0, parent: reader) } ?? nil
                        : farm.target(app: id, nil, parent: reader)
                    return target.map { (farm, $0) }
                })
            {
                result.targets[name] = pair
            }
            return result
        }
    }

    private init() {}

    func launch(_ name: String, _ request: LaunchRequest) async throws -> LaunchAction {
        guard let pair = targets[name] else { throw GatewayError(.noFarm, "no such app in the test") }
        return try await pair.farm.launch(pair.target, request)
    }
}

func request(
    app: AppID = "mail", account: AccountID = "alice", platform: String = "windows", ticket: String = "tick-1",
    name: String = "Mail", message: MessageKey? = nil
) -> LaunchRequest {
    LaunchRequest(
        launch: "l1", ticket: Secret(ticket), account: account, device: "d1", platform: platform, app: app,
        appName: name, message: message, item: "'; rm -rf /")
}

/// The plugin's folder.
let pluginFolder = FileSystem.folder(of: FileSystem.folder(of: #filePath))

/// The text of an `.rdp` file; nil when it is not UTF-16 with a little-endian mark.
func text(ofRDP bytes: [UInt8]) -> String? {
    guard bytes.starts(with: [0xFF, 0xFE]), bytes.count % 2 == 0 else { return nil }
    let units = stride(from: 2, to: bytes.count, by: 2).map { UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8 }
    return String(decoding: units, as: UTF16.self)
}
