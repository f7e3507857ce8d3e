internal import Base
internal import Gateway
internal import GatewayTestKit
internal import Outbound

/// A client in front has a message; it is hidden before it acknowledged: how soon is that decided, and pushed?
struct PresenceDecisions: Sendable {
    let accounts: Int
    let rounds: Int

    struct Result: Sendable {
        var reports = 0
        var answered = Distribution([])
        /// By the log's time, to the end of its millisecond.
        var decided = Distribution([])
        var pushed = Distribution([])
        var undecided = 0
        var unpushed = 0
    }

    /// From one report to the next.
    private static let pause = Duration.milliseconds(10)
    /// What comes later than that after a report does not belong to it.
    private static let window = Duration.seconds(5)
    /// The lease of a client in front is 15 s: all of a round must report before that.
    private static let limit = 1000

    /// - Throws: `BenchError`, `PeerError`, `DeadlineMissed`, `HTTPTransportError`.
    func run(_ setup: RingSetup) async throws -> Result {
        guard accounts <= Self.limit else { throw BenchError("--accounts: at most \(Self.limit)", isUsage: true) }
        let imap = try setup.mailServer()
        defer { imap.stop() }
        Report.progress("presence: starting a gateway with \(accounts) mailboxes")
        let gateway = try await setup.gateway(mailboxes: accounts, port: imap.port, farm: nil, launch: nil)
        try await imap.waitForIdlers(accounts, deadline: .seconds(60))
        let round = Round(setup: setup, imap: imap, gateway: gateway, http: try HTTPClient(), accounts: accounts)
        var reports: [(number: Int, begin: Moment, end: Moment)] = []
        var pushes: [FakeAPNs.Push] = []
        for number in 0..<rounds {
            Report.progress("presence: round \(number + 1) of \(rounds)")
            setup.apns.pushes.clear()
            reports += try await round.run(number)
            pushes += setup.apns.pushes.all
        }
        let decisions = gateway.events("notification.decided").filter { $0["decision"]?.string == "push" }
        await gateway.stop()
        return result(reports, pushes, decisions, setup)
    }

    private func result(
        _ reports: [(number: Int, begin: Moment, end: Moment)], _ pushes: [FakeAPNs.Push], _ decisions: [JSON],
        _ setup: RingSetup
    ) -> Result {
        var decided: [String: [Moment]] = [:]
        for decision in decisions where decision["reason"]?.string == "session_hidden" {
            guard let device = decision["device"]?.string,
                let time = decision["time"]?.string.flatMap({ Timestamp($0) })
            else { continue }
            decided[device, default: []].append(setup.moment(of: time))
        }
        let pushed = Dictionary(grouping: pushes, by: \.device).mapValues { $0.map(\.received).sorted() }
        /// The first after a moment, and before the next round's.
        func first(_ moments: [Moment]?, after begin: Moment) -> Duration? {
            moments?.first { $0 >= begin && $0 < begin + Self.window }.map { $0 - begin }
        }
        let toDecision = reports.map { first(decided[Seed.device($0.number).text], after: $0.begin) }
        let toPush = reports.map { first(pushed[Seed.pushToken($0.number)], after: $0.begin) }
        return Result(
            reports: reports.count, answered: Distribution(reports.map { $0.end - $0.begin }),
            decided: Distribution(toDecision.compactMap { $0 }), pushed: Distribution(toPush.compactMap { $0 }),
            undecided: toDecision.count { $0 == nil }, unpushed: toPush.count { $0 == nil })
    }

    /// All clients come to the front, get a message each, and are hidden one after the other.
    private struct Round: Sendable {
        let setup: RingSetup
        let imap: SyntheticIMAPServer
        let gateway: GatewayProcess
        let http: HTTPClient
        let accounts: Int

        func run(_ round: Int) async throws -> [(number: Int, begin: Moment, end: Moment)] {
            let handed = forwarded
            var sessions: [String] = []
            for number in 0..<accounts {
                // The same instance again is the same session, in front.
                let session = try await call("sessions", ["app": "mail", "instance": "bench"], number)
                sessions.append(session["id"]?.string ?? "")
                try await imap.deliver(
                    to: SyntheticIMAPServer.user(number),
                    header: RingSetup.header("bench-presence-\(round * accounts + number)"))
            }
            try await Eventually.wait("every client has its message", for: .seconds(10), every: .milliseconds(50)) {
                forwarded >= handed + accounts
            }
            var reports: [(number: Int, begin: Moment, end: Moment)] = []
            for (number, session) in sessions.enumerated() {
                let begin = setup.time.now
                _ = try await call("sessions/\(session)/presence", ["seq": 1, "state": "hidden"], number)
                reports.append((number, begin, setup.time.now))
                try await setup.time.sleep(for: PresenceDecisions.pause)
            }
            do {
                try await setup.apns.pushes.wait(count: accounts, deadline: .seconds(5))
            } catch {
                Report.progress("presence: \(error)")
            }
            return reports
        }

        private var forwarded: Int {
            gateway.events("notification.decided").count { $0["decision"]?.string == "stream" }
        }

        private func call(_ path: String, _ body: JSON, _ number: Int) async throws -> JSON {
            try await http.post(path, body, port: gateway.port, token: Seed.token(number))
        }
    }
}
