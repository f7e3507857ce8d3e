internal import Base
internal import GatewayTestKit

/// From the server's EXISTS to the push accepted, and to its record on disk.
struct RingLatency: Sendable {
    let mailboxes: Int
    let perSecond: Int
    let seconds: Int

    struct Result: Sendable {
        let mailboxes: Int
        let mails: Int
        let tally: Tally
        let refused: Int
        /// Of one core, while the mail came.
        let processorShare: Double
        let complaints: [String: Int]
    }

    func run(_ setup: RingSetup) async throws -> Result {
        let imap = try setup.mailServer()
        defer { imap.stop() }
        Report.progress("latency: starting a gateway with \(mailboxes) mailboxes")
        let gateway = try await setup.gateway(mailboxes: mailboxes, port: imap.port)
        try await imap.waitForIdlers(mailboxes, deadline: .seconds(180))
        try await setup.time.sleep(for: .seconds(2))
        let load = SteadyLoad(perSecond: perSecond, seconds: seconds)
        let result = try await load.run(gateway, setup) { name, number in
            let user = SyntheticIMAPServer.user(number % mailboxes)
            return try await imap.deliver(to: user, header: RingSetup.header(name)).announced
        }
        let refused = setup.apns.requests.all.count { $0.status != 200 }
        let complaints = gateway.complaints()
        await gateway.stop()
        return Result(
            mailboxes: mailboxes, mails: load.items, tally: result.tally, refused: refused,
            processorShare: result.processorShare, complaints: complaints)
    }
}
