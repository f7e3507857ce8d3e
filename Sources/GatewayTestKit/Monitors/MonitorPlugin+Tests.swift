package import Base
package import Gateway

// What the tests of every monitor's plugin begin with.
extension Monitor {
    /// The monitor that a configuration makes, as the host reads it.
    /// - Parameters:
    ///   - text: an app's configuration: `{"monitor":{…}}`.
    ///   - folder: what relative paths are relative to.
    ///   - environment: the variables that secrets may name.
    ///   - hookBase: what the gateway's own addresses for calls begin with.
    /// - Throws: `ConfigError` with all faults, and an empty one when the plugin makes no monitor of this type either.
    package static func configured(
        by plugin: some MonitorPlugin, _ text: String, app: AppID = "mail", folder: String = "/etc/farbell",
        transport: any HTTPTransport = NoTransport(), time: any TimeSource = SystemTime(),
        log: Log = Log(sink: NullLogSink()), environment: [String: String] = [:], hookBase: String? = nil
    ) throws(ConfigError) -> Self {
        var context = PluginContext(transport: transport, time: time, log: log)
        context.hookBase = hookBase
        let document = ConfigDocument(
            file: "\(folder)/config.json", text: Array(text.utf8), environment: environment)
        guard let monitor = try plugin.configured(app, document, context) as? Self else {
            throw ConfigError(problems: [])
        }
        return monitor
    }
}

extension MonitorPlugin {
    fileprivate func configured(
        _ app: AppID, _ document: ConfigDocument, _ context: PluginContext
    ) throws(ConfigError) -> (any Monitor)? {
        let monitor = try document.read { reader in
            reader.ignore(["name", "farm"])
            return reader.object("monitor") { reader in
                reader.ignore(["kind"])
                return configure(app: app, reader, context)
            }
        }
        return monitor ?? nil
    }

    /// The plugin's `config.example.json`.
    /// - Parameter test: the file of a test, in the plugin's folder `Tests`.
    /// - Throws: `PeerError` when there is none.
    package func example(test: String = #filePath) throws -> String {
        let file = "\(FileSystem.folder(of: FileSystem.folder(of: test)))/config.example.json"
        guard let bytes = FileSystem.contents(of: file, limit: 65_536) else {
            throw PeerError(.file, "\(file) cannot be read")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Tries the keys of `ServiceAddress`: what is right is taken; what would bring a password over a network in the
    /// clear, or is missing, misspelt or out of range, is a fault.
    /// - Throws: `ConformanceViolation`.
    package func verifyServiceAddress() throws {
        let expected: KeyValuePairs<String, String?> = [
            #""url":"http://localhost:8065""#: "localhost:8065",
            #""url":"https://chat.example""#: "chat.example:443",
            #""url":"http://chat.example""#: nil,
            #""url":"http://chat.example","allowPlaintext":true"#: "chat.example:80",
            "": nil,
            #""url":"https://chat.example","pol":1"#: nil,
            #""url":"https://chat.example","requestSeconds":1"#: nil,
        ]
        let context = PluginContext(transport: NoTransport(), time: SystemTime(), log: Log(sink: NullLogSink()))
        for (keys, place) in expected {
            let document = ConfigDocument(
                file: "config.json", text: Array("{\"monitor\":{\(keys)}}".utf8), environment: [:])
            var upstream: String?
            var faults: ConfigError?
            do throws(ConfigError) {
                upstream = try configured("chat", document, context)?.upstream
            } catch {
                faults = error
            }
            guard upstream == place, (faults == nil) == (place != nil) else {
                throw ConformanceViolation(
                    "{\(keys)}: \(upstream ?? "no monitor"), \(faults.map { "\($0)" } ?? "no fault")")
            }
        }
    }
}
