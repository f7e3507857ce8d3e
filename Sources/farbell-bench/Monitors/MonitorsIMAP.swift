internal import Base
internal import GatewayTestKit

/// One gateway with many mailboxes: idle, busy, and started again.
struct MonitorsIMAP: Sendable {
    let mailboxes: Int
    let idleSeconds: Int
    let perSecond: Int
    let seconds: Int

    struct Result: Sendable {
        let mailboxes: Int
        /// The gateway without a mailbox.
        let baseKibibytes: Int
        let idleKibibytes: Double
        /// Of one core.
        let idleShare: Double
        let busyKibibytes: Double
        let busyShare: Double
        let tally: Tally
        let startSeconds: Double
        let restartSeconds: Double
        /// Pushes after the restart, when nothing new had come.
        let rungAgain: Int
        let complaints: [String: Int]
    }

    func run(_ setup: RingSetup) async throws -> Result {
        let base = try await RingIdle(seconds: 1).run(0, setup).memory.resident
        let imap = try setup.mailServer()
        defer { imap.stop() }
        Report.progress("monitors: starting a gateway with \(mailboxes) mailboxes")
        let time = setup.time
        // At the default rate: what a restart takes is what an operator sees.
        var start = time.now
        let gateway = try await setup.gateway(mailboxes: mailboxes, port: imap.port, hasDefaultRate: true)
        try await imap.waitForIdlers(mailboxes, deadline: .seconds(600))
        let startSeconds = (time.now - start).inSeconds
        try await time.sleep(for: .seconds(3))

        Report.progress("monitors: idle for \(idleSeconds) s")
        let idleShare = try await ProcessMeter.share(of: gateway.processID, time) {
            try await time.sleep(for: .seconds(idleSeconds))
        }
        let idle = try ProcessMeter.memory(of: gateway.processID).resident
        let (tally, busyShare) = try await busy(gateway, imap, setup)
        let busy = try ProcessMeter.memory(of: gateway.processID).resident
        let complaints = gateway.complaints()

        Report.progress("monitors: starting it again")
        await gateway.stop()
        try await Eventually.wait("the mail server has seen all leave", for: .seconds(60)) { imap.counts.idling == 0 }
        let pushes = setup.apns.pushes.count
        start = time.now
        try await gateway.startAgain()
        try await imap.waitForIdlers(mailboxes, deadline: .seconds(600))
        let restartSeconds = (time.now - start).inSeconds
        try await time.sleep(for: .seconds(2))
        let rungAgain = setup.apns.pushes.count - pushes
        await gateway.stop()
        func each(_ kibibytes: Int) -> Double { Double(kibibytes - base) / Double(mailboxes) }
        return Result(
            mailboxes: mailboxes, baseKibibytes: base, idleKibibytes: each(idle), idleShare: idleShare,
            busyKibibytes: each(busy), busyShare: busyShare, tally: tally, startSeconds: startSeconds,
            restartSeconds: restartSeconds, rungAgain: rungAgain, complaints: complaints)
    }

    private func busy(
        _ gateway: GatewayProcess, _ imap: SyntheticIMAPServer, _ setup: RingSetup
    ) async throws -> (Tally, share: Double) {
        setup.apns.pushes.clear()
        setup.apns.requests.clear()
        // The first push opens the connection and signs the token: not what is measured.
        try await imap.deliver(to: SyntheticIMAPServer.user(0), header: RingSetup.header("bench-warm-0"))
        try await setup.apns.pushes.wait(count: 1, deadline: .seconds(20))
        Report.progress("monitors: \(perSecond) mails a second for \(seconds) s")
        let load = RingLatency(mailboxes: mailboxes, perSecond: perSecond, seconds: seconds)
        let mails = perSecond * seconds
        let deliveries = Locked<[String: Moment]>([:])
        let share = try await ProcessMeter.share(of: gateway.processID, setup.time) {
            let sent = try await load.deliver(mails, imap, setup.time)
            deliveries.withLock { $0 = sent }
        }
        do {
            try await setup.apns.pushes.wait(count: mails + 1, deadline: .seconds(20))
        } catch {
            Report.progress("monitors: \(error)")
        }
        // A doubled push would come now.
        try await setup.time.sleep(for: .seconds(2))
        return (
            Tally(
                deliveries: deliveries.withLock { $0 }, pushes: setup.apns.pushes.all, sent: Tally.sent(gateway, setup)),
            share
        )
    }
}
