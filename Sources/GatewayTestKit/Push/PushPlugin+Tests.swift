package import Base
package import Gateway

// What the tests of every push service's plugin begin with.
extension PushPlugin {
    /// The adapter that a configuration makes, as the host reads it.
    /// - Parameters:
    ///   - text: the plugin's own keys, in JSON.
    ///   - folder: what relative paths are relative to.
    ///   - environment: the variables that secrets may name.
    ///   - tapPage: what a tap's token stands behind to be a page.
    /// - Throws: `ConfigError` with all faults; `PeerError` when there is neither a fault nor an adapter.
    package func adapter(
        _ text: String, folder: String, http: any HTTPTransport, time: any TimeSource,
        log: Log = Log(sink: NullLogSink()), environment: [String: String] = [:], tapPage: String? = nil
    ) throws -> any PushAdapter {
        let context = PluginContext(transport: http, time: time, log: log, tapPage: tapPage)
        let document = ConfigDocument(file: "\(folder)/config.json", text: Array(text.utf8), environment: environment)
        let adapter = try document.read { reader in
            defer { reader.ignore(ConfiguredPush.commonKeys) }
            return self.configure(name: "tested", reader, context)
        }
        guard let adapter else { throw PeerError(.file, "\(folder)/config.json: no adapter, and no fault either") }
        return adapter
    }

    /// The plugin's own keys in its `config.example.json`.
    /// - Parameters:
    ///   - name: the service's name under `push` there.
    ///   - test: the file of a test, in the plugin's folder `Tests`.
    /// - Throws: `JSONError`; `PeerError` when the file has no such service of this kind.
    package func example(_ name: String, test: String = #filePath) throws -> JSON {
        let folder = FileSystem.folder(of: FileSystem.folder(of: test))
        let bytes = FileSystem.contents(of: "\(folder)/config.example.json", limit: 65_536) ?? []
        guard let object = try JSONParser.parse(bytes)["push"]?[name]?.object, object["kind"]?.string == kind else {
            throw PeerError(.file, "\(folder)/config.example.json has no push.\(name) of kind \(kind)")
        }
        return .object(JSONObject(members: object.members.filter { $0.key != "kind" }))
    }
}

extension Push {
    /// A push, by default an alert as a mail monitor would cause it.
    package static func sample(
        to address: Channel.Address, id: String = "11111111-2222-4333-8444-555555555555", title: String = "Outlook",
        body: String? = "New mail from Bob", payload: Device.Payload = .summary,
        priority: Message.Priority = .normal, collapse: String = "c1", clear: [NotificationID]? = nil,
        expires: Timestamp = Timestamp(seconds: 4_000_000_000), encryption: Device.Encryption? = nil,
        locale: String? = nil
    ) -> Push {
        let message = MessageKey(queue: 1, seq: 2)
        let notification = Notification(
            id: "n1", account: "alice", device: "d1", app: "oa", message: message, messages: [message], title: title,
            body: body, badge: 3, collapse: collapse, thread: "oa/t1", tap: "tap1")
        return Push(
            id: id, device: "d1", address: address,
            content: clear.map { .clear($0, collapse: collapse, badge: 0) } ?? .alert(notification), payload: payload,
            priority: priority, expires: expires, encryption: encryption, locale: locale)
    }

    /// The document of `sample(to:)`.
    package static let sampleDocument =
        #"{"notification":"n1","app":"oa","title":"Outlook","body":"New mail from Bob","badge":3,"collapse":"c1","tap":"tap1"}"#
    /// The same with ids only, as a wakeup carries it.
    package static let sampleIDs = #"{"notification":"n1","app":"oa","badge":3,"collapse":"c1","tap":"tap1"}"#
}
