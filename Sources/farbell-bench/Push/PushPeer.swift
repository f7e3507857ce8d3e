internal import Base
internal import GatewayTestKit
internal import Glibc

/// The services that take pushes, by the names the benchmark gives them.
enum PushService: Int, Sendable, CaseIterable {
    case apns
    case webPush
    case hook
    /// Apple that takes a push and never answers.
    case dead
}

/// The text that a message carries and that its push shows, by which one is found in the other.
enum PushMark {
    static let prefix = "bench-"
    private static let bytes = Array(prefix.utf8)

    static func text(_ number: Int) -> String { "\(prefix)\(number)" }

    /// The first number in a body; nil without one.
    static func number(in body: [UInt8]) -> Int? {
        // By hand: the generic search is slow, and each of all that arrives is looked through.
        var start = 0
        while start + bytes.count < body.count, !body[start...].starts(with: bytes) {
            start = body[(start + 1)...].firstIndex(of: bytes[0]) ?? body.count
        }
        guard start + bytes.count < body.count else { return nil }
        start += bytes.count
        var number: Int?
        for byte in body[start...] {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { break }
            number = (number ?? 0) * 10 + Int(byte - UInt8(ascii: "0"))
        }
        return number
    }
}

/// One push as it arrived.
struct PushArrival: Sendable {
    let service: Int
    /// -1 for one whose text was not read.
    let number: Int
    /// On `MonotonicClock`.
    let at: Int64
}

/// `push-peer`: the fake push services as a process of their own, which all whom `push` compares send to. Reads
/// commands, each with a tag, and answers one line to each; ends with its standard input.
struct PushPeer: Sendable {
    static let options: Set<String> = ["folder", "devices"]

    private let folder: String
    private let devices: Int

    /// - Throws: `BenchError` (usage).
    init(_ options: BenchOptions) throws {
        guard let folder = options.text("folder") else { throw BenchError("--folder is missing", isUsage: true) }
        self.folder = folder
        devices = max(1, try options.number("devices", 1, quick: 1))
    }

    func run() async throws -> Bool {
        let authority = try TestCertificateAuthority()
        let arrivals = Locked<[PushArrival]>([])
        arrivals.withLock { $0.reserveCapacity(1 << 20) }
        let key = try ECKey()
        let apple = try apple(key, authority)
        let dead = try self.apple(key, authority)
        dead.setStanding(.hang)
        let browsers = try FakeWebPushService(.init(identity: authority.localhost))
        let hook = try FakeWebhookReceiver()
        defer {
            apple.stop()
            dead.stop()
            browsers.stop()
            hook.stop()
        }
        apple.pushes.observe { push in
            let text = push.payload["aps"]?["alert"]?["body"]?.string ?? ""
            Self.note(.apns, Array(text.utf8), arrivals)
        }
        // What hangs is never accepted, so the requests are counted.
        dead.requests.observe { _ in Self.note(.dead, [], arrivals) }
        browsers.pushes.observe { Self.note(.webPush, $0.plaintext, arrivals) }
        hook.calls.observe { Self.note(.hook, $0.body, arrivals) }
        for recorder in [apple.pushes, dead.pushes] { recorder.keepOnly(first: 0) }
        for recorder in [apple.requests, dead.requests] { recorder.keepOnly(first: 0) }
        browsers.pushes.keepOnly(first: 0)
        browsers.requests.keepOnly(first: 0)
        hook.calls.keepOnly(first: 0)
        try writeFiles(key, browsers)
        let places: JSON = [
            "apns": .string(apple.origin), "dead": .string(dead.origin), "webPush": .string(browsers.origin),
            "hook": .string(hook.origin), "caFile": .string(authority.caFile),
        ]
        Report.print("ready \(places.serialized)")
        try await WorkThread(name: "commands").run {
            while let line = readLine() {
                let words = line.split(separator: " ").map(String.init)
                guard let tag = words.first else { continue }
                Report.print("\(tag) \(Self.answer(Array(words.dropFirst()), arrivals, browsers))")
            }
        }
        return true
    }

    private func apple(_ key: ECKey, _ authority: TestCertificateAuthority) throws -> FakeAPNs {
        var configuration = FakeAPNs.Configuration(
            keys: [.init(teamID: GatewayProcess.teamID, keyID: GatewayProcess.keyID, key: key)],
            topics: [GatewayProcess.topic: GatewayProcess.teamID])
        configuration.acceptsAnyDevice = true
        // Each of those compared signs tokens of its own.
        configuration.limitsTokenUpdates = false
        return try FakeAPNs(configuration, identity: authority.localhost)
    }

    private func writeFiles(_ key: ECKey, _ browsers: FakeWebPushService) throws {
        let subscriptions = try (0..<devices).map { _ in
            let subscription = try browsers.subscribe()
            return "\(subscription.endpoint) \(subscription.p256dh) \(subscription.auth)"
        }
        let files = [
            ("apns.p8", try key.privatePEM()), ("subscriptions", Array(subscriptions.joined(separator: "\n").utf8)),
        ]
        for (name, bytes) in files {
            guard FileSystem.writePrivate(bytes, to: "\(folder)/\(name)", replacing: true) else {
                throw BenchError("cannot write \(name): \(FileSystem.lastError)")
            }
        }
    }

    private static func note(_ service: PushService, _ body: [UInt8], _ arrivals: Locked<[PushArrival]>) {
        let at = MonotonicClock.nanoseconds
        let arrival = PushArrival(service: service.rawValue, number: PushMark.number(in: body) ?? -1, at: at)
        arrivals.withLock { $0.append(arrival) }
    }

    // MARK: Commands

    private static func answer(
        _ words: [String], _ arrivals: Locked<[PushArrival]>, _ browsers: FakeWebPushService
    ) -> String {
        switch (words.first, words.count) {
        case ("clear", 1):
            arrivals.withLock { $0.removeAll(keepingCapacity: true) }
            return "cleared"
        case ("open", 2):
            browsers.open(every: Int(words[1]) ?? 1)
            return "opens"
        case ("wait", 4):
            guard let service = Int(words[1]), let count = Int(words[2]), let seconds = Int(words[3]) else {
                return "what?"
            }
            return "\(wait(service, count, seconds, arrivals))"
        case ("dump", 2):
            let lines = arrivals.withLock { $0 }.map { "\($0.service) \($0.number) \($0.at)" }
            let bytes = Array(lines.joined(separator: "\n").utf8)
            return FileSystem.writePrivate(bytes, to: words[1], replacing: true) ? "\(lines.count)" : "cannot write"
        default: return "what?"
        }
    }

    /// Waits for so many, or until none has come for so many seconds; returns how many there are.
    private static func wait(_ service: Int, _ count: Int, _ seconds: Int, _ arrivals: Locked<[PushArrival]>) -> Int {
        var (seen, checked) = (0, 0)
        var last = MonotonicClock.nanoseconds
        while true {
            // Only what is new is looked at: there may be a million.
            let new = arrivals.withLock { Array($0[min(checked, $0.count)...]) }
            checked += new.count
            let found = new.count { $0.service == service }
            seen += found
            let now = MonotonicClock.nanoseconds
            if found > 0 { last = now }
            if seen >= count || now - last > Int64(seconds) * 1_000_000_000 { return seen }
            usleep(20_000)
        }
    }
}
