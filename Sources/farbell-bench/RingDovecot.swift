internal import Base
internal import FoundationEssentials
internal import GatewayTestKit

/// A real Dovecot, with and without imap-hibernate, which loses wake-ups: nothing may be missed.
struct RingDovecot: Sendable {
    let mailboxes: Int
    let mails: Int
    /// Between two full comparisons; what hibernation loses is found by them.
    let reconcileSeconds: Int

    struct Result: Sendable {
        let hibernates: Bool
        let mailboxes: Int
        let mails: Int
        let tally: Tally
    }

    func run(hibernateSeconds: Int?, _ setup: RingSetup) async throws -> Result {
        let users = (0..<mailboxes).map(SyntheticIMAPServer.user)
        let dovecot = try await DovecotServer(
            users: users, identity: setup.authority.localhost, hibernateSeconds: hibernateSeconds)
        let gateway = try await setup.gateway(
            mailboxes: mailboxes, port: dovecot.tlsPort, password: DovecotServer.password, reconcile: reconcileSeconds)
        try await Eventually.wait(
            "\(mailboxes) mailboxes of Dovecot watched: \(gateway.logTail) \(dovecot.log.suffix(500))",
            for: .seconds(120),
            every: .milliseconds(200)
        ) { gateway.events("monitor.watching").count >= mailboxes }
        setup.apns.pushes.clear()
        // Long enough for every connection to hibernate.
        try await setup.time.sleep(for: .seconds(2 * (hibernateSeconds ?? 1) + 1))
        Report.progress(
            "dovecot: \(mails) mails to \(mailboxes) mailboxes, \(hibernateSeconds.map { "hibernating after \($0) s" } ?? "no hibernation")"
        )
        var deliveries: [String: Moment] = [:]
        for number in 0..<mails {
            let name = "bench-dovecot-\(number)"
            try await dovecot.deliver(
                Array((RingSetup.header(name) + "Hello.\r\n").utf8), to: users[number % mailboxes])
            // dovecot-lda has ended: the message is in the mailbox.
            deliveries[name] = setup.time.now
        }
        do {
            try await setup.apns.pushes.wait(count: mails, deadline: .seconds(reconcileSeconds * 2 + 20))
        } catch {
            Report.progress("dovecot: \(error)")
        }
        try await setup.time.sleep(for: .seconds(2))
        let tally = Tally(
            deliveries: deliveries, pushes: setup.apns.pushes.all, sent: Tally.sent(gateway, setup))
        await gateway.stop()
        try await dovecot.stop()
        return Result(hibernates: hibernateSeconds != nil, mailboxes: mailboxes, mails: mails, tally: tally)
    }

    /// Dovecot takes one inotify instance for each watched mailbox; the usual limit of 128 for a user is
    /// raised while the benchmark runs. Without root as many mailboxes as fit are taken.
    static func withRoom(for mailboxes: Int, _ body: () async throws -> Void) async throws {
        let file = "/proc/sys/fs/inotify/max_user_instances"
        let old = FileSystem.contents(of: file, limit: 64).map { String(decoding: $0, as: UTF8.self) } ?? ""
        let digits = String(old.prefix { $0.isNumber })
        let mustRaise = (Int(digits) ?? 0) < mailboxes + 64
        if mustRaise { write("\(mailboxes + 512)", to: file) }
        defer { if mustRaise { write(digits, to: file) } }
        try await body()
    }

    private static func write(_ text: String, to file: String) {
        do {
            try Data(text.utf8).write(to: URL(filePath: file))
        } catch {
            Report.progress("dovecot: cannot write \(file): \(error)")
        }
    }
}
