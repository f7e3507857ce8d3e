import Base
import GatewayTestKit
import Testing

@testable import FarbellClient

@Suite(.timeLimit(.minutes(1))) struct PresenceTests {
    @Test("SG-7 the sequence: open, beat while in front, silence when hidden, gone")
    func sequence() {
        var presence = PresenceSequence(.visible, now: .zero)
        #expect(presence.step(at: .zero) == .open)
        presence.opened("s", at: .zero)
        #expect(presence.step(at: .zero) == .report(session: "s", seq: 2, state: .visible))
        presence.reported(.visible, at: .zero)
        #expect(presence.step(at: .seconds(1)) == .wait(.seconds(4)))
        #expect(presence.step(at: .seconds(5)) == .report(session: "s", seq: 3, state: .visible))
        presence.reported(.visible, at: .seconds(5))
        presence.change(to: .hidden)
        #expect(presence.step(at: .seconds(6)) == .report(session: "s", seq: 4, state: .hidden))
        presence.reported(.hidden, at: .seconds(6))
        #expect(presence.step(at: .seconds(600)) == .rest)
        presence.change(to: .gone)
        presence.change(to: .visible)
        #expect(presence.step(at: .seconds(601)) == .report(session: "s", seq: 5, state: .gone))
        presence.reported(.gone, at: .seconds(601))
        #expect(presence.step(at: .seconds(601)) == .end)
    }

    @Test("SG-7 a report that failed is repeated with the next beat, hidden too; news does not wait for it")
    func failures() {
        var presence = PresenceSequence(.visible, now: .zero)
        presence.opened("s", at: .zero)
        presence.change(to: .hidden)
        _ = presence.step(at: .zero)
        presence.failed(at: .zero)
        #expect(presence.step(at: .seconds(1)) == .wait(.seconds(4)))
        #expect(presence.step(at: .seconds(5)) == .report(session: "s", seq: 3, state: .hidden))
        presence.failed(at: .seconds(5))
        presence.change(to: .visible)
        #expect(presence.step(at: .seconds(6)) == .report(session: "s", seq: 4, state: .visible))
    }

    @Test("SG-7 a forgotten session is opened again when there is something to see, not while hidden")
    func forgotten() {
        var presence = PresenceSequence(.hidden, now: .zero)
        // The first log-in is made in any case: it starts the monitor.
        #expect(presence.step(at: .zero) == .open)
        presence.opened("s", at: .zero)
        presence.forgotten()
        #expect(presence.step(at: .zero) == .rest)
        presence.change(to: .active)
        #expect(presence.step(at: .zero) == .open)
        presence.opened("t", at: .zero)
        #expect(presence.step(at: .seconds(5)) == .report(session: "t", seq: 3, state: .active))
        presence.forgotten()
        presence.change(to: .gone)
        #expect(presence.step(at: .seconds(6)) == .end)
    }

    private static let session = """
        {"id":"ses_1","app":"mail","device":"dev_1","state":"active","leaseSeconds":15,"registration":"reg_1"}
        """
    private static let report = "POST /v1/sessions/ses_1/presence"

    @Test("SG-3 SG-7 the reporter opens, beats every 5 s, survives a lost connection and a restart, says gone")
    func reporter() async throws {
        let world = World { request in
            if request.line == "POST /v1/sessions" { return ScriptedAnswer(201, Self.session) }
            switch request.number {
            case 2: throw FarbellError.broken
            case 3: return .problem(404, "not_found")
            default: return ScriptedAnswer(200, #"{"state":"visible","leaseSeconds":15}"#)
            }
        }
        let reporter = world.client.presence(app: "mail", instance: "one")
        let running = Task { try await reporter.run() }
        try await world.wait(for: Self.report, 1)
        // The beat fails; the next one finds the session forgotten, which is opened anew at once.
        for count in 2...3 {
            try await world.pass()
            try await world.wait(for: Self.report, count)
        }
        try await world.wait(for: Self.report, 4)
        #expect(world.transport.requests("POST /v1/sessions").count == 2)
        #expect(world.time.now - Moment(nanoseconds: 1_000_000_000_000) == .seconds(10))
        running.cancel()
        try await running.value
        let reports = world.transport.requests(Self.report)
        #expect(reports.map { $0.json["state"]?.string } == ["visible", "visible", "visible", "visible", "gone"])
        let numbers = reports.compactMap { $0.json["seq"]?.integer }
        #expect(numbers == numbers.sorted() && Set(numbers).count == 5)
    }

    @Test("SG-7 a hidden client does not beat, and a refused log-in is an error")
    func hidden() async throws {
        let world = World { request in
            request.line == "POST /v1/sessions"
                ? ScriptedAnswer(201, Self.session) : ScriptedAnswer(200, #"{"state":"hidden","leaseSeconds":0}"#)
        }
        try await world.client.withPresence(app: "mail", instance: "one") { presence in
            presence.report(.hidden)
            try await Eventually.wait("hidden to be confirmed") { presence.confirmed == .hidden }
            #expect(world.time.sleeperCount == 0)
        }
        #expect(world.transport.requests(Self.report).last?.json["state"]?.string == "gone")

        let refusing = World { _ in .problem(409, "not_registered") }
        let error = await #expect(throws: FarbellError.self) {
            try await refusing.client.presence(app: "mail", instance: "one").run()
        }
        #expect(error?.code == .notRegistered && error?.status == 409)
    }
}
