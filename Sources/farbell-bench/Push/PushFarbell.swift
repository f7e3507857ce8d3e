internal import Base
internal import Gateway
internal import GatewayTestKit
internal import Storage

/// The gateway as a process, with accounts of one device each. It can be stopped and started again on the same
/// store, so that what it sends comes from the disk.
final class PushFarbell: Sendable {
    static let app = "bench"
    static let key = "farbell-bench-app-key-0123456789abcdefghij"

    let port: Int
    let devices: Int
    let service: PushService
    private let fakes: PushFakes
    private let folder: TemporaryFolder
    private let child = Locked<ChildProcess?>(nil)

    /// Seeds the store: `devices` accounts whose device is at the service, and as many at the dead one.
    /// - Throws: `BenchError`, `PeerError`, `StoreError`.
    init(_ service: PushService, devices: Int, _ fakes: PushFakes) async throws {
        (self.service, self.devices, self.fakes) = (service, devices, fakes)
        folder = try TemporaryFolder()
        port = try ServerPort.next()
        guard let key = FileSystem.contents(of: fakes.keyFile, limit: 65_536) else {
            throw BenchError("there is no key: \(FileSystem.lastError)")
        }
        try folder.write(key, to: "apns.p8")
        try folder.write("\(Self.key)\n", to: "app.key")
        try await seed()
    }

    /// The account's name of a message's number.
    func account(_ number: Int, at service: PushService) -> String {
        "\(prefix(of: service))\(number % devices)"
    }

    func prefix(of service: PushService) -> String { service == .dead ? "d" : "u" }
    var keyFile: String { folder.file("app.key") }

    private static func adapter(_ service: PushService) -> String {
        switch service {
        case .apns: "apple"
        case .webPush: "browser"
        case .hook: "hook"
        case .dead: "dead"
        }
    }

    private func address(_ number: Int, _ service: PushService) -> Channel.Address {
        switch service {
        case .apns, .dead: .token(Seed.pushToken(number))
        case .webPush:
            .subscription(
                endpoint: fakes.subscriptions[number][0], p256dh: fakes.subscriptions[number][1],
                auth: fakes.subscriptions[number][2])
        case .hook: .url("\(fakes.hook)/d/\(number)")
        }
    }

    private func seed() async throws {
        let store = try await SQLiteStore.open(path: folder.file("farbell.sqlite"))
        let created = SystemTime().timestamp
        var changes: [StoreChange] = []
        for (offset, service) in [service, .dead].enumerated() {
            for number in 0..<devices {
                let account = Account(
                    id: AccountID(account(number, at: service)), passwordHash: nil, created: created)
                let device = Device(
                    id: DeviceID("dev_\(account.id)"), account: account.id, installation: "bench-\(number)",
                    name: "Phone", platform: "ios",
                    channel: Channel(
                        adapter: Self.adapter(service), address: address(number, service), since: created),
                    tokenHash: nil, created: created)
                let queue = QueueRecord(
                    number: Int64(offset * devices + number + 1), address: .account(account.id), reserved: 1)
                changes += [.putAccount(account), .putDevice(device), .putQueue(queue)]
            }
        }
        do {
            for start in stride(from: 0, to: changes.count, by: 1500) {
                try await store.commit(Array(changes[start..<min(start + 1500, changes.count)]))
            }
        } catch {
            await store.close()
            throw error
        }
        await store.close()
    }

    // MARK: Running

    var processID: Int32 { child.withLock { $0?.processID ?? 0 } }

    /// - Parameters:
    ///   - sends: false: with no push service configured, so that messages are held.
    ///   - waits: until it takes requests.
    /// - Throws: `BenchError`, `DeadlineMissed`.
    func start(sends: Bool, waits: Bool = true) async throws {
        try folder.write(configuration(sends: sends).serialized, to: "farbell.json")
        // A file takes the log without anybody having to read along.
        let child = try await ChildProcess(
            "/bin/sh",
            [
                "-c", "exec \"$0\" serve --config \"$1\" 2>\"$2\"", try BenchPaths.gateway(),
                folder.file("farbell.json"), folder.file("gateway.log"),
            ])
        self.child.withLock { $0 = child }
        guard waits else { return }
        try await Eventually.wait("the gateway is ready", for: .seconds(120), every: .milliseconds(20)) {
            if let exit = child.exit { throw BenchError("the gateway ended (\(exit)): \(logTail)") }
            return logText.contains("\"event\":\"gateway.started\"")
        }
    }

    /// Asks it to end and waits; it is killed when that takes too long.
    func stop() async {
        guard let child = child.withLock({ $0 }) else { return }
        child.terminate()
        do {
            try await child.waitForExit(deadline: .seconds(60))
        } catch {
            Report.progress("the gateway did not end in time and is killed: \(logTail)")
            child.kill()
        }
    }

    func kill() { child.withLock { $0 }?.kill() }

    private var logText: String {
        FileSystem.contents(of: folder.file("gateway.log"), limit: 1 << 28).map { String(decoding: $0, as: UTF8.self) }
            ?? ""
    }
    private var logTail: String { logText.split(separator: "\n").suffix(5).joined(separator: "\n") }

    /// How many warnings and errors the last run has logged, by event; the first of each goes to standard error.
    func complaints() -> [String: Int] {
        let bytes = FileSystem.contents(of: folder.file("gateway.log"), limit: 1 << 30) ?? []
        let words = ["warning", "error"].map { Array("\"level\":\"\($0)\"".utf8) }
        var counts: [String: Int] = [:]
        for line in bytes.split(separator: 10)
        where words.contains(where: { line.prefix(128).firstRange(of: $0) != nil }) {
            guard let event = (try? JSONParser.parse(Array(line)))?["event"]?.string else { continue }
            if counts[event] == nil { Report.progress("the gateway's log: \(String(decoding: line, as: UTF8.self))") }
            counts[event, default: 0] += 1
        }
        return counts
    }

    private func configuration(sends: Bool) -> JSON {
        func apple(_ url: String) -> JSON {
            [
                "kind": "apns", "teamId": .string(GatewayProcess.teamID), "keyId": .string(GatewayProcess.keyID),
                "keyFile": "apns.p8", "topic": .string(GatewayProcess.topic), "url": .string(url),
                "caFile": .string(fakes.caFile),
            ]
        }
        let pushes: JSONObject = [
            "apple": apple(fakes.apns), "dead": apple(fakes.dead),
            "browser": [
                "kind": "webpush", "subject": "mailto:bench@example.org", "keyFile": "webpush.pem",
                "allowHosts": ["localhost"], "caFile": .string(fakes.caFile),
            ],
            "hook": ["kind": "webhook", "allowHosts": ["localhost"]],
        ]
        return [
            "listen": ["address": "127.0.0.1", "port": .integer(port)],
            "data": ["sqlite": ["path": "farbell.sqlite"]],
            "keyFile": "farbell.key",
            "admin": ["tokenFile": "admin.token"],
            "log": ["format": "json", "level": "info", "statsSeconds": 0],
            "apps": [.init(Self.app): ["name": "Bench", "key": ["file": "app.key"]]],
            "push": sends ? .object(pushes) : [:],
            "notify": ["groupSeconds": 0, "devicePerMinute": 0, "escalateSeconds": 86_400],
            "limits": ["requestsPerSecond": 1_000_000, "queueMessages": 4_000_000, "laneMessages": 1_000_000],
        ]
    }
}
