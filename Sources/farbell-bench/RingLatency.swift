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
        setup.apns.pushes.clear()
        setup.apns.requests.clear()
        // The first push opens the connection and signs the token: not what is measured.
        try await imap.deliver(to: SyntheticIMAPServer.user(0), header: RingSetup.header("bench-warm-0"))
        try await setup.apns.pushes.wait(count: 1, deadline: .seconds(20))
        Report.progress("latency: \(perSecond) mails a second for \(seconds) s")
        let mails = perSecond * seconds
        let before = try ProcessMeter.processorTime(of: gateway.processID)
        let deliveries = try await deliver(mails, imap, setup.time)
        let used = try ProcessMeter.processorTime(of: gateway.processID) - before
        do {
            try await setup.apns.pushes.wait(count: mails + 1, deadline: .seconds(20))
        } catch {
            Report.progress("latency: \(error)")
        }
        // A doubled push or a late record would come now.
        try await setup.time.sleep(for: .seconds(2))
        let tally = Tally(
            deliveries: deliveries, pushes: setup.apns.pushes.all, sent: Tally.sent(gateway, setup))
        let refused = setup.apns.requests.all.count { $0.status != 200 }
        let complaints = gateway.complaints()
        await gateway.stop()
        return Result(
            mailboxes: mailboxes, mails: mails, tally: tally, refused: refused,
            processorShare: used.inSeconds / Double(max(1, seconds)), complaints: complaints)
    }

    /// Delivers mails at the rate, to one mailbox after another.
    /// - Returns: when each was announced.
    func deliver(
        _ mails: Int, _ imap: SyntheticIMAPServer, _ time: SystemTime
    ) async throws -> [String: Moment] {
        var deliveries: [String: Moment] = [:]
        let start = time.now
        for number in 0..<mails {
            try await time.sleep(until: start + .microseconds(number * 1_000_000 / perSecond))
            let name = "bench-ring-\(number)"
            let delivery = try await imap.deliver(
                to: SyntheticIMAPServer.user(number % mailboxes), header: RingSetup.header(name))
            deliveries[name] = delivery.announced
        }
        return deliveries
    }
}
