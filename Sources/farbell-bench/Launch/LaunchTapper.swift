internal import Base
internal import GatewayTestKit
internal import Outbound

/// The device and the page of a launch: gets a notification, taps it, brings the ticket, reports the app in front and
/// gone again.
final class LaunchTapper: Sendable {
    private let setup: RingSetup
    private let imap: SyntheticIMAPServer
    private let gateway: GatewayProcess
    private let site: FarmHost
    private let account: String
    private let http: HTTPClient
    private let mails = Locked(0)

    init(
        setup: RingSetup, imap: SyntheticIMAPServer, gateway: GatewayProcess, site: FarmHost, account: String
    ) throws {
        (self.setup, self.imap, self.gateway, self.site, self.account) = (setup, imap, gateway, site, account)
        http = try HTTPClient()
    }

    /// - Parameter looks: whether the window is out of sight before, so that there is something to wait for.
    /// - Throws: `BenchError`, `PeerError`, `DeadlineMissed`, `HTTPTransportError`.
    func launch(looks: Bool) async throws -> LaunchFarm.Sample {
        let tap = try await notification()
        let window = looks ? try await site.lookForWindow() : nil
        let begin = setup.time.now
        let answer = try await call("launches", ["tap": .string(tap)])
        let answered = setup.time.now
        guard let ticket = answer["action"]?["url"]?.string?.split(separator: "#").last else {
            throw BenchError("the launch was not answered with a page: \(answer.serialized)")
        }
        let brought = setup.time.now
        let redeemed = try await call("launches/redeem", ["ticket": .string(ticket)], token: nil)
        let end = setup.time.now
        var seen: Duration?
        if let window {
            let line = try await window.waitForLine("when the window was seen", deadline: .seconds(70)) {
                $0.first?.isNumber == true
            }
            guard let moment = setup.moment(ofSeconds: line) else { throw BenchError("'\(line)' is no time") }
            seen = moment - begin
        }
        let programs = site.times.compactMap { pair -> ClosedRange<Moment>? in
            guard let from = setup.moment(ofSeconds: pair.begin), let to = setup.moment(ofSeconds: pair.end),
                from >= brought, from <= end
            else { return nil }
            return from...max(from, min(to, end))
        }
        guard !programs.isEmpty else { throw BenchError("none of the farm's programs ran") }
        try await present(redeemed)
        return LaunchFarm.Sample(
            tap: answered - begin, redeem: end - brought, programs: Self.covered(by: programs), window: seen)
    }

    /// The time in which at least one of them ran.
    private static func covered(by programs: [ClosedRange<Moment>]) -> Duration {
        var total = Duration.zero
        var covered = Moment(nanoseconds: .min)
        for program in programs.sorted(by: { $0.lowerBound < $1.lowerBound }) where program.upperBound > covered {
            total += program.upperBound - max(program.lowerBound, covered)
            covered = program.upperBound
        }
        return total
    }

    /// Mail comes and is pushed.
    /// - Returns: what the notification is tapped with.
    private func notification() async throws -> String {
        let number = mails.withLock { count in
            count += 1
            return count
        }
        setup.apns.pushes.clear()
        let name = "bench-launch-\(number)"
        try await imap.deliver(to: account, header: RingSetup.header(name))
        let push = try await setup.apns.pushes.first(deadline: .seconds(20)) {
            RingSetup.name(in: $0) == name
        }
        guard let tap = push.payload["farbell"]?["tap"]?.string else { throw BenchError("the push has no tap") }
        return tap
    }

    /// As the page does: the app is in front, which confirms the launch, and gone.
    private func present(_ redeemed: JSON) async throws {
        guard let token = redeemed["presence"]?["token"]?.string, let instance = redeemed["presence"]?["instance"]
        else {
            throw BenchError("the page may not report presence: \(redeemed.serialized)")
        }
        let confirmed = gateway.events("launch.confirmed").count
        let session = try await call("sessions", ["app": "mail", "instance": instance], token: token)
        let id = session["id"]?.string ?? ""
        _ = try await call("sessions/\(id)/presence", ["seq": 1, "state": "visible"], token: token)
        try await Eventually.wait("the launch is confirmed", every: .milliseconds(20)) {
            gateway.events("launch.confirmed").count > confirmed
        }
        _ = try await call("sessions/\(id)/presence", ["seq": 2, "state": "gone"], token: token)
    }

    private func call(_ path: String, _ body: JSON, token: String? = Seed.token(0)) async throws -> JSON {
        try await http.post(path, body, port: gateway.port, token: token)
    }
}

extension HTTPClient {
    /// Calls a gateway of this machine: `POST /v1/` and the path.
    /// - Throws: `BenchError` for a refusal; `HTTPTransportError`.
    func post(_ path: String, _ body: JSON, port: Int, token: String?) async throws -> JSON {
        var headers: HTTPFields = ["Content-Type": "application/json"]
        if let token { headers["Authorization"] = "Bearer \(token)" }
        var request = HTTPRequest(
            "POST", "http://127.0.0.1:\(port)/v1/\(path)", headers: headers, body: body.serializedBytes)
        request.timeout = .seconds(60)
        let response = try await send(request)
        guard (200...204).contains(response.status) else {
            throw BenchError("\(path): \(response.status) \(String(decoding: response.body, as: UTF8.self))")
        }
        return response.body.isEmpty ? .null : try JSONParser.parse(response.body)
    }
}
