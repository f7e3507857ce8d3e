internal import Base
internal import Glibc
internal import Inbound
internal import Outbound

/// `farbell demo`: the story of a notification, with a real gateway, a real mailbox and real messages in it.
package struct Demo: Sendable {
    /// Each step must come this fast, or something is wrong.
    static let patience: Duration = .seconds(8)

    private let environment: Environment

    package init(environment: Environment) { self.environment = environment }

    /// Walks through the story; returns when it has come true.
    /// - Throws: `DaemonError` naming the step that did not happen.
    package func run() async throws {
        let folder = try makeFolder()
        defer { remove(folder) }
        let http = try HTTPClient()
        let phone = DemoPhone()
        let server = try Server(
            ServerConfiguration(address: "127.0.0.1", port: 0), handler: phone, log: Log(sink: NullLogSink()))
        try server.listen()
        let phonePort = Int(server.port ?? 0)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await server.run()
                return false
            }
            group.addTask {
                try await http.whileRunning { try await self.story(folder, http, phone, phonePort: phonePort) }
                return true
            }
            while let isDone = try await group.next(), !isDone {}
            server.beginShutdown()
        }
    }

    private func say(_ text: String) { environment.print(text) }

    private func story(_ folder: String, _ http: HTTPClient, _ phone: DemoPhone, phonePort: Int) async throws {
        let port = try freePort()
        try write(configuration(port: port), to: "\(folder)/farbell.json")
        let gateway = try DemoProcess(
            arguments: ["serve", "--config", "\(folder)/farbell.json"], log: "\(folder)/farbell.log")
        defer { gateway.stop() }
        say("1. A gateway runs, with a mailbox to watch (a Maildir in \(folder)).")
        let client = DemoClient(http: http, base: "http://127.0.0.1:\(port)", time: environment.time)
        try await step("the gateway to start", folder) { try await client.waitUntilReady() }
        let admin = try AdminToken.load(from: "\(folder)/admin.token")
        _ = try await client.call(
            "POST", "/v1/admin/accounts", bearer: admin, ["name": "alice", "password": "correct horse"])
        try mailbox(folder)

        let device = try await client.bind(
            "alice", Secret("correct horse"), phoneURL: "http://127.0.0.1:\(phonePort)/push")
        say("2. Alice's phone logs in once and becomes the device \(device.id); its pushes go to a webhook.")
        let registration = try await client.call(
            "POST", "/v1/registrations", bearer: device.token, ["app": "mail", "credentials": [:]])
        say("3. She registers for the remote app 'Mail': \(registration["id"]?.string ?? "").")
        let session = try await client.call(
            "POST", "/v1/sessions", bearer: device.token, ["app": "mail", "instance": "demo-1"])
        let path = "/v1/sessions/\(session["id"]?.string ?? "")/presence"
        let stream = try DemoStream(port: port, token: device.token)
        _ = try await step("the stream", folder) { try await stream.next("hello") }
        try await step("the monitor to watch", folder) { try await client.waitUntilWatching(device.token) }
        say("4. She opens the app: the session is in front, and the mailbox is watched from now on.")

        try deliver(
            folder, from: "Wang Wei <wang@example.org>", subject: "=?GB18030?B?z8LO58jVs8zM1sLb?=", name: "1.demo")
        let message = try await step("the message on the stream", folder) { try await stream.next("message") }
        say(
            "5. Mail arrives while she looks at it: \"\(message.data["subject"]?.string ?? "")\" goes to the running client only. No push."
        )
        try await client.acknowledge(device.token, message.number)

        _ = try await client.call("POST", path, bearer: device.token, ["seq": 1, "state": "hidden"])
        say("6. She puts the app into the background.")
        // A device that is connected is told on its stream; closing it leaves only the push channel.
        try deliver(folder, from: "Li Na <li@example.org>", subject: "Ward round at nine", name: "2.demo")
        let notify = try await step("the notification on the stream", folder) { try await stream.next("notify") }
        say(
            "7. New mail now is announced: \"\(notify.data["title"]?.string ?? ""): \(notify.data["body"]?.string ?? "")\"."
        )
        let push = try await step("the push, because nobody acknowledged", folder) { try await first(phone.pushes) }
        say(
            "8. Nobody reacts, so the phone gets a push: \"\(push["title"]?.string ?? "")\", badge \(push["badge"]?.integer ?? 0)."
        )
        // The phone may have it a moment before the gateway hears that it has.
        try await step("the log to tell of the push", folder) { try await logged("notification.sent", folder) }

        let launch = try await client.call("POST", "/v1/launches", bearer: device.token, ["tap": push["tap"] ?? .null])
        say("9. She taps it. Farbell answers with what brings the app back: \(launch["action"]?["url"]?.string ?? "")")
        _ = try await client.call("POST", path, bearer: device.token, ["seq": 2, "state": "visible"])
        _ = try await step("the notification to be cleared", folder) { try await stream.next("clear") }
        say("10. The app is in front again; the notification is cleared everywhere. The log tells it line by line:")
        for line in try log(folder) { say("    \(line)") }
    }

    private func logged(_ event: String, _ folder: String) async throws {
        while !(try log(folder).contains { $0.contains(" \(event) ") }) {
            try await environment.time.sleep(for: .milliseconds(10))
        }
    }

    private func first(_ pushes: AsyncStream<JSON>) async throws -> JSON {
        for await push in pushes { return push }
        throw DaemonError(.unavailable, "the phone is gone")
    }

    /// Runs one step, within its time.
    private func step<Result: Sendable>(
        _ what: String, _ folder: String, _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let late = DaemonError(
            .temporary,
            "waited in vain for \(what); the log ends:\n" + ((try? log(folder)) ?? []).suffix(5).joined(separator: "\n")
        )
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask { try await body() }
            group.addTask { [environment] in
                try await environment.time.sleep(for: Self.patience)
                return nil
            }
            defer { group.cancelAll() }
            guard let result = try await group.next() ?? nil else { throw late }
            return result
        }
    }
}
