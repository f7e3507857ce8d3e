import Base
import Gateway
import GatewayTestKit
import LinkFarm
import Testing

@Suite("farms opened by a URL")
struct LinkFarmTests {
    private static let context = PluginContext(
        transport: NoTransport(), time: SystemTime(), log: Log(sink: NullLogSink()))

    /// Reads a whole configuration as the host does; throws all its faults.
    private func read(
        _ text: String
    ) throws(ConfigError) -> (farms: [String: any Farm], targets: [String: any LaunchTarget]) {
        let document = ConfigDocument(file: "config.json", text: Array(text.utf8), environment: [:])
        return try document.read { reader in
            var farms: [String: any Farm] = [:]
            for (name, farm) in reader.map(
                "farms",
                { name, reader -> (any Farm)? in
                    guard reader.string("kind") == "link" else { return nil }
                    return LinkPlugin().configure(farm: FarmID(name), reader, Self.context)
                })
            {
                farms[name] = farm
            }
            var targets: [String: any LaunchTarget] = [:]
            for (name, target) in reader.map(
                "apps",
                { name, reader -> (any LaunchTarget)? in
                    reader.ignore(["name"])
                    guard let farm = farms[reader.string("farm")] else { return nil }
                    guard reader.has("launch") else { return farm.target(app: AppID(name), nil, parent: reader) }
                    return reader.object("launch") { farm.target(app: AppID(name), $0, parent: reader) } ?? nil
                })
            {
                targets[name] = target
            }
            return (farms, targets)
        }
    }

    private func request(
        app: AppID = "mail", account: AccountID = "alice", ticket: String = "tick-1", message: MessageKey? = nil,
        item: String? = nil
    ) -> LaunchRequest {
        LaunchRequest(
            launch: "l1", ticket: Secret(ticket), account: account, device: "d1", platform: "web", app: app,
            appName: "Mail", message: message, item: item)
    }

    private func launch(url: String, _ request: LaunchRequest) async throws -> LaunchAction {
        let (farms, targets) = try read(
            #"{"farms":{"f":{"kind":"link","url":"\#(url)"}},"apps":{"a":{"farm":"f"}}}"#)
        return try await #require(farms["f"]).launch(#require(targets["a"]), request)
    }

    @Test("the example configuration is read and launches")
    func example() async throws {
        let folder = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let text = try #require(FileSystem.contents(of: "/\(folder)/config.example.json", limit: 65_536))
        let (farms, targets) = try read(String(decoding: text, as: UTF8.self))
        let farm = try #require(farms["portal"])
        let message = MessageKey(queue: 1, seq: 35)
        let mail = try await farm.launch(#require(targets["mail"]), request())
        #expect(mail == .url("https://apps.example.com/open/mail?ticket=tick-1&user=alice"))
        let chat = try await farm.launch(#require(targets["chat"]), request(app: "chat", message: message))
        #expect(chat == .url("https://apps.example.com/chat/?ticket=tick-1&at=m1-z"))
        let desk = try await farm.launch(#require(targets["desk"]), request(app: "desk"))
        #expect(desk == .url("workspace://start/desk?ticket=tick-1"))
    }

    @Test(
        "SG-11 a value cannot leave its place in the URL",
        arguments: [
            (#"CONTOSO\alice&admin=1"#, "CONTOSO%5Calice%26admin%3D1"), ("a/../b?c#d", "a%2F..%2Fb%3Fc%23d"),
            ("é 100%", "%C3%A9%20100%25"), ("\r\nSet-Cookie: a", "%0D%0ASet-Cookie%3A%20a"), ("\"'<>", "%22%27%3C%3E"),
        ])
    func encoding(account: String, encoded: String) async throws {
        let action = try await launch(url: "https://f.example/{account}", request(account: AccountID(account)))
        #expect(action == .url("https://f.example/\(encoded)"))
    }

    @Test("an item's key is carried encoded, and nothing where there is none")
    func item() async throws {
        let url = "https://f.example/?m={message}&i={item}"
        let key = MessageKey(queue: 2, seq: 3)
        #expect(
            try await launch(url: url, request(message: key, item: "17/42"))
                == .url("https://f.example/?m=m2-3&i=17%2F42"))
        #expect(try await launch(url: url, request()) == .url("https://f.example/?m=&i="))
    }

    @Test("a launch URL that no browser would take is refused")
    func tooLong() async throws {
        let item = String(repeating: "x", count: LinkFarm.sizeLimit)
        await #expect(throws: GatewayError.self) {
            try await launch(url: "https://f.example/{item}", request(item: item))
        }
    }

    @Test(
        "faults of a template are named with the cure",
        arguments: [
            ("javascript:alert(1)", "the scheme 'javascript' is not one of https, http"),
            ("data:text/html,x", "the scheme 'data' is not one of"), ("file:///etc/passwd", "the scheme 'file'"),
            ("workspace://x", "add it to 'schemes'"), ("https://f/{acount}", "did you mean 'account'?"),
            ("https://f/{password}", "{password} is not one of {app} {launch} {account} {message} {item}"),
            ("https://{account}.f/", "only {app} may stand in the host"),
            ("https://{item}/", "only {app} may stand in the host"), ("https://f/{app", "stands alone"),
            ("https://f/app}", "stands alone"), ("https:///x", "no host"), ("https://a@b/", "user name"),
            ("no-url", "expected a URL"), ("https://f/a b", "no spaces"), ("{app}://x", "scheme '{app}'"),
        ])
    func faults(url: String, message: String) throws {
        do {
            _ = try read(#"{"farms":{"f":{"kind":"link","url":"\#(url)"}}}"#)
            Issue.record("'\(url)' was taken")
        } catch {
            #expect(error.problems.count == 1)
            #expect(error.description.contains(message), "\(error)")
            #expect(error.description.contains("farms.f.url"))
        }
    }

    @Test(
        "a scheme that runs code cannot be allowed",
        arguments: ["javascript", "DATA", "file", "vbscript", "1x", "a b", ""])
    func schemes(name: String) {
        #expect(throws: ConfigError.self) {
            try read(#"{"farms":{"f":{"kind":"link","url":"https://f/","schemes":["\#(name)"]}}}"#)
        }
    }

    @Test(
        "faults of an app's launch stand at the app",
        arguments: [
            (#"{"url":"https://x/","path":"/y"}"#, "apps.a.launch.path"), (#"{"path":"y"}"#, "must start with '/'"),
            (#"{"url":"data:x"}"#, "apps.a.launch.url"), (#"{"path":"/{lunch}"}"#, "did you mean 'launch'?"),
            (#"{"pth":"/y"}"#, "did you mean 'path'?"),
        ])
    func launchFaults(launch: String, message: String) {
        do {
            _ = try read(
                #"{"farms":{"f":{"kind":"link","url":"https://f/"}},"apps":{"a":{"farm":"f","launch":\#(launch)}}}"#)
            Issue.record("\(launch) was taken")
        } catch {
            #expect(error.description.contains(message), "\(error)")
        }
    }
}
