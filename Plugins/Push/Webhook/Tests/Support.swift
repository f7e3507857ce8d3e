import Base
import Gateway
import GatewayTestKit
import WebhookPush

struct NoAdapter: Error {}

/// - Throws: `ConfigError` with all faults.
func configure(
    _ text: String, folder: String, http: any HTTPTransport, time: any TimeSource,
    log: Log = Log(sink: NullLogSink()), environment: [String: String] = [:]
) throws -> any PushAdapter {
    let context = PluginContext(transport: http, time: time, log: log)
    let document = ConfigDocument(file: "\(folder)/config.json", text: Array(text.utf8), environment: environment)
    let adapter = try document.read { WebhookPlugin().configure(name: "things", $0, context) }
    guard let adapter else { throw NoAdapter() }
    return adapter
}

/// The plugin's folder.
let pluginFolder = FileSystem.folder(of: FileSystem.folder(of: #filePath))

/// The one adapter of the example configuration, without its kind.
func example(kind: String, name: String) throws -> String {
    let bytes = FileSystem.contents(of: "\(pluginFolder)/config.example.json", limit: 65_536) ?? []
    guard let object = try JSONParser.parse(bytes)["push"]?[name]?.object, object["kind"]?.string == kind else {
        throw NoAdapter()
    }
    return JSON.object(JSONObject(members: object.members.filter { $0.key != "kind" })).serialized
}

/// A push, by default an alert as a mail monitor would cause it.
func push(
    to address: Channel.Address, id: String = "11111111-2222-4333-8444-555555555555", title: String = "Outlook",
    body: String? = "New mail from Bob", payload: Device.Payload = .summary, priority: Message.Priority = .normal,
    collapse: String = "c1", clear: [NotificationID]? = nil, expires: Timestamp = Timestamp(seconds: 4_000_000_000)
) -> Push {
    let message = MessageKey(queue: 1, seq: 2)
    let notification = Notification(
        id: "n1", account: "alice", device: "d1", app: "oa", message: message, messages: [message], title: title,
        body: body, badge: 3, collapse: collapse, thread: "oa/t1", tap: "tap1")
    return Push(
        id: id, device: "d1", address: address,
        content: clear.map { .clear($0, collapse: collapse, badge: 0) } ?? .alert(notification), payload: payload,
        priority: priority, expires: expires)
}

/// The document of `push(to:)`.
let golden =
    #"{"notification":"n1","app":"oa","title":"Outlook","body":"New mail from Bob","badge":3,"collapse":"c1","tap":"tap1"}"#
let goldenIDs = #"{"notification":"n1","app":"oa","badge":3,"collapse":"c1","tap":"tap1"}"#
