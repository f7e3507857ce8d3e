import Base
import MonitorTools
import Gateway
import GatewayTestKit
import MonitorTestKit
import Outbound
import Testing

@testable import MatrixMonitor

/// The monitor against a real Synapse.
@Suite(
    .serialized, .timeLimit(.minutes(3)),
    .enabled(if: SynapseServer.isAvailable, "Synapse is not installed: run Scripts/synapse/setup"))
struct SynapseTests {
    /// Bob, who is watched, and Anna, who writes to him.
    private struct Place: Sendable {
        let server: SynapseServer
        let bob: SynapseServer.User
        let anna: SynapseServer.User
        let monitor: MatrixMonitor
        let host = RecordingMonitorHost()

        /// Runs the body while the monitor watches Bob's account.
        func watching(_ body: @escaping @Sendable () async throws -> Void) async throws {
            let credentials = ["username": Secret("bob"), "password": Secret(SynapseServer.password)]
            try await MonitorRun.during(monitor, credentials: credentials, host: host) {
                try await host.waitForWatching(host.watchingCount + 1, deadline: .seconds(30))
                try await body()
            }
        }

        /// Bob's devices, by id.
        func devices() async throws -> [String] {
            (try await bob.call("GET", "devices")["devices"]?.array ?? []).compactMap { $0["device_id"]?.string }
        }
    }

    private func withPlace(
        settings: [String] = [], timelineLimit: Int = 20, _ body: @escaping @Sendable (Place) async throws -> Void
    ) async throws {
        try await OutboundClient.during { client in
            let server = try await SynapseServer(client, settings: settings)
            let bob = try await server.register("bob", displayName: "Bob Builder")
            let anna = try await server.register("anna", displayName: "Anna Example")
            var monitorSettings = try MatrixMonitor.Settings.testing(server.url)
            monitorSettings.address.timeout = .seconds(10)
            (monitorSettings.poll, monitorSettings.timelineLimit) = (.seconds(5), timelineLimit)
            let monitor = MatrixMonitor(monitorSettings, app: "chat", transport: client, time: SystemTime())
            try await body(Place(server: server, bob: bob, anna: anna, monitor: monitor))
            try await server.stop()
        }
    }

    @Test("messages ring with sender, room and text; old ones, own ones, edits and what the rules silence do not")
    func messages() async throws {
        try await withPlace { place in
            let direct = try await place.anna.makeRoom(inviting: [place.bob], isDirect: true)
            let team = try await place.anna.makeRoom(named: "Team", inviting: [place.bob])
            let quiet = try await place.anna.makeRoom(named: "Quiet", inviting: [place.bob])
            for room in [direct, team, quiet] { try await place.bob.join(room) }
            // Only mentions ring in this one.
            try await place.bob.call(
                "PUT", "pushrules/global/room/\(quiet.percentEncoded())", ["actions": []])
            try await place.anna.say("old", in: direct)
            try await place.watching {
                let first = try await place.anna.say("first", in: direct)
                try await place.host.waitForItems(1, deadline: .seconds(20))
                try await place.bob.say("my own", in: direct)
                try await place.anna.send(
                    [
                        "msgtype": "m.text", "body": "* first, edited",
                        "m.new_content": ["msgtype": "m.text", "body": "first, edited"],
                        "m.relates_to": ["rel_type": "m.replace", "event_id": .string(first)],
                    ], to: direct)
                try await place.anna.say("nobody is named here", in: quiet)
                try await place.anna.send(
                    [
                        "msgtype": "m.text", "body": "Bob Builder: look",
                        "m.mentions": ["user_ids": [.string(place.bob.id)]],
                    ], to: quiet)
                try await place.anna.say("to all", in: team)
                try await place.host.waitForItems(3, deadline: .seconds(20))
            }
            let items = place.host.rung
            #expect(items.map(\.title) == ["first", "Bob Builder: look", "to all"])
            #expect(items.map(\.sender) == ["Anna Example", "Anna Example (Quiet)", "Anna Example (Team)"])
            #expect(items.map(\.threadKey) == [direct, quiet, team])
            #expect(items.map(\.priority) == [.normal, .high, .normal])
            #expect(items.allSatisfy { $0.senderAddress == place.anna.id && $0.time != nil })
        }
    }

    @Test("what is read elsewhere is seen, also in part; what is redacted is gone")
    func readAndRedacted() async throws {
        try await withPlace { place in
            let room = try await place.anna.makeRoom(inviting: [place.bob], isDirect: true)
            try await place.bob.join(room)
            try await place.watching {
                let one = try await place.anna.say("one", in: room)
                let two = try await place.anna.say("two", in: room)
                let three = try await place.anna.say("three", in: room)
                try await place.host.waitForItems(3, deadline: .seconds(20))
                try await place.bob.read(one, in: room)
                try await Eventually.wait("one seen: \(place.host.seen)", for: .seconds(20)) {
                    place.host.seen == [one]
                }
                try await place.anna.redact(two, in: room)
                try await Eventually.wait("two gone: \(place.host.gone)", for: .seconds(20)) {
                    place.host.gone == [two]
                }
                try await place.bob.read(three, in: room)
                try await Eventually.wait("three seen: \(place.host.seen)", for: .seconds(20)) {
                    place.host.seen == [one, three]
                }
            }
        }
    }

    @Test("invitations ring; joining is reading them; encrypted messages show the sender only")
    func invitationsAndEncryption() async throws {
        try await withPlace { place in
            try await place.watching {
                let room = try await place.anna.makeRoom(named: "Secret plans", inviting: [place.bob])
                let invitation = try await place.host.waitForItems(1, deadline: .seconds(20))[0]
                #expect(invitation.title == "Invitation to Secret plans")
                #expect(invitation.sender == "Anna Example")
                try await place.bob.join(room)
                try await Eventually.wait("the invitation is seen: \(place.host.seen)", for: .seconds(20)) {
                    place.host.seen == [invitation.key]
                }
                try await place.anna.send(
                    ["algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AwgAEnAC"], type: "m.room.encrypted", to: room)
                let item = try await place.host.waitForItems(2, deadline: .seconds(20))[1]
                #expect(item.title == nil)
                #expect(item.sender == "Anna Example (Secret plans)")
            }
        }
    }

    @Test("a long absence is one item a room, which reading takes back; nothing is lost over a restart of the server")
    func absence() async throws {
        try await withPlace(timelineLimit: 5) { place in
            let room = try await place.anna.makeRoom(named: "Busy", inviting: [place.bob])
            let calm = try await place.anna.makeRoom(inviting: [place.bob], isDirect: true)
            for room in [room, calm] { try await place.bob.join(room) }
            try await place.watching {}
            for number in 1...12 { try await place.anna.say("missed \(number)", in: room) }
            let last = try await place.anna.say("missed 13", in: room)
            try await place.anna.say("calm", in: calm)
            try await place.server.stop()
            try await place.server.start()
            try await place.watching {
                try await place.host.waitForItems(2, deadline: .seconds(20))
                #expect(Set(place.host.rung.map(\.title)) == ["13 new messages", "calm"])
                let key = place.host.rung.first { $0.threadKey == room }?.key
                try await place.bob.read(last, in: room)
                try await Eventually.wait("seen: \(place.host.seen)", for: .seconds(20)) {
                    place.host.seen == [key].compactMap(\.self)
                }
            }
        }
    }

    @Test("a wrong password is one attempt; logins reuse one device; a session that is ended elsewhere is not renewed")
    func sessions() async throws {
        try await withPlace { place in
            let wrong = RecordingMonitorHost()
            let bad = ["username": Secret("bob"), "password": Secret("wrong")]
            try await MonitorRun.during(place.monitor, credentials: bad, host: wrong) {
                try await wrong.waitForFailures(1, deadline: .seconds(20))
            }
            #expect(wrong.failures.map(\.code) == [.authFailed])
            let before = try await place.devices()
            for _ in 1...3 { try await place.watching {} }
            let added = try await place.devices().filter { !before.contains($0) }
            #expect(added.count == 1)
            try await place.watching {
                try await place.bob.call(
                    "POST", "delete_devices",
                    [
                        "devices": .strings(added),
                        "auth": [
                            "type": "m.login.password", "identifier": ["type": "m.id.user", "user": "bob"],
                            "password": .string(SynapseServer.password),
                        ],
                    ])
                try await place.host.waitForFailures(1, deadline: .seconds(20))
            }
            #expect(place.host.failures.map(\.code) == [.authFailed])
        }
    }

    @Test("a token is enough; a login that comes too soon is throttled as long as the server says")
    func tokensAndLimits() async throws {
        try await withPlace(settings: ["rc_login: {address: {per_second: 0.01, burst_count: 1}}"]) { place in
            var settings = place.monitor.settings
            settings.usesToken = true
            let credentials = ["token": Secret(place.bob.token)]
            try await OutboundClient.during { [settings] client in
                let monitor = MatrixMonitor(settings, app: "chat", transport: client, time: SystemTime())
                let host = RecordingMonitorHost()
                try await MonitorRun.during(monitor, credentials: credentials, host: host) {
                    try await host.waitForWatching(1, deadline: .seconds(20))
                    // The second login of this address within its time.
                    try await place.watching {}
                    let limited = RecordingMonitorHost()
                    try await MonitorRun.during(
                        place.monitor,
                        credentials: ["username": "anna", "password": SynapseServer.password]
                            .mapValues { Secret($0) }, host: limited, registration: "r2"
                    ) { try await limited.waitForFailures(1, deadline: .seconds(20)) }
                    guard case .throttled(let until) = limited.failures[0].code else {
                        Issue.record("\(limited.failures[0])")
                        return
                    }
                    #expect(until - SystemTime().now > .seconds(20))
                }
            }
        }
    }
}
