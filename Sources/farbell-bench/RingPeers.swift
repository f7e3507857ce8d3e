internal import Base
internal import GatewayTestKit

/// Other programs that wait for mail, at the same server in the same run.
struct RingPeers: Sendable {
    /// Mailboxes of a program that takes one process for each.
    let processes: Int
    /// Mailboxes of the library that takes all into one process.
    let connections: Int
    /// Mails each mailbox gets.
    let rounds: Int

    struct Result: Sendable {
        let name: String
        let mailboxes: Int
        /// Of all its processes together.
        let memory: ProcessMeter.Memory
        let noticed: Distribution
        let missed: Int
        /// What kept a part from being measured.
        let remark: String
    }

    func run(_ setup: RingSetup) async throws -> [Result] {
        var results: [Result] = []
        if BenchPaths.has("imapfilter") {
            results.append(try await measure("imapfilter", processes, setup, start: imapfilter))
        } else {
            Report.progress("peers: no imapfilter here (Scripts/install --bench)")
        }
        if BenchPaths.has("fetchmail") {
            results.append(try await measure("fetchmail", processes, setup, start: fetchmail))
        } else {
            Report.progress("peers: no fetchmail here (Scripts/install --bench)")
        }
        if FileSystem.exists(BenchPaths.python) {
            results.append(try await measure("aioimaplib", connections, setup, start: aioimaplib))
        } else {
            Report.progress("peers: no aioimaplib here (Scripts/bench.d/setup)")
        }
        return results
    }

    private struct Place: Sendable {
        let folder: TemporaryFolder
        let port: Int
        let caFile: String
        let clock: LineClock
    }

    private func measure(
        _ name: String, _ mailboxes: Int, _ setup: RingSetup, start: (Int, Place) async throws -> [ChildProcess]
    ) async throws -> Result {
        let imap = try setup.mailServer()
        defer { imap.stop() }
        let folder = try TemporaryFolder()
        let clock = try LineClock(at: folder.file("lines"))
        let place = Place(folder: folder, port: imap.port, caFile: setup.authority.caFile, clock: clock)
        Report.progress("peers: \(name) with \(mailboxes) mailboxes")
        let children = try await start(mailboxes, place)
        var remark = ""
        func lastWords() -> String {
            children.first.map { ($0.errors + $0.output).suffix(3).joined(separator: "; ") } ?? ""
        }
        do {
            try await imap.waitForIdlers(mailboxes, deadline: .seconds(30))
        } catch {
            remark = "only \(imap.counts.idling) idle: \(lastWords())"
        }
        try await setup.time.sleep(for: .seconds(2))
        let memory = try children.map(Self.memory).reduce(ProcessMeter.Memory(), +)
        var deliveries: [String: [Moment]] = [:]
        for round in 0..<rounds {
            for number in 0..<mailboxes {
                let user = SyntheticIMAPServer.user(number)
                let delivery = try await imap.deliver(
                    to: user, header: RingSetup.header("bench-peer-\(round * mailboxes + number)"))
                deliveries[user, default: []].append(delivery.announced)
                try await setup.time.sleep(for: .milliseconds(10))
            }
            try await setup.time.sleep(for: .seconds(1))
        }
        let (noticed, missed) = Self.match(deliveries, clock.all)
        if missed > 0 && remark.isEmpty { Report.progress("peers: \(name) says: \(lastWords())") }
        for child in children { child.kill() }
        return Result(
            name: name, mailboxes: mailboxes, memory: memory, noticed: Distribution(noticed), missed: missed,
            remark: remark)
    }

    /// Nothing for one that has ended; the remark says why.
    private static func memory(of child: ChildProcess) throws -> ProcessMeter.Memory {
        child.exit == nil ? try ProcessMeter.memory(of: child.processID) : ProcessMeter.Memory()
    }

    /// Each announcement's first line after it, and before the next one to the same user.
    private static func match(
        _ deliveries: [String: [Moment]], _ lines: [(line: String, at: Moment)]
    ) -> (noticed: [Duration], missed: Int) {
        let byUser = Dictionary(grouping: lines, by: \.line).mapValues { $0.map(\.at).sorted() }
        var noticed: [Duration] = []
        var missed = 0
        for (user, moments) in deliveries {
            for (index, moment) in moments.enumerated() {
                let next = index + 1 < moments.count ? moments[index + 1] : .distantFuture
                if let line = byUser[user]?.first(where: { $0 >= moment && $0 < next }) {
                    noticed.append(line - moment)
                } else {
                    missed += 1
                }
            }
        }
        return (noticed, missed)
    }

    // MARK: The programs

    private func imapfilter(_ count: Int, _ place: Place) async throws -> [ChildProcess] {
        var children: [ChildProcess] = []
        for number in 0..<count {
            children.append(
                try await ChildProcess(
                    "imapfilter", ["-c", BenchPaths.script("imapfilter.lua"), "-t", place.caFile],
                    .init(environment: [
                        "HOME": place.folder.path, "PATH": "/usr/bin:/bin", "BENCH_PORT": "\(place.port)",
                        "BENCH_USER": SyntheticIMAPServer.user(number), "BENCH_LINES": place.clock.path,
                    ])))
        }
        return children
    }

    private func fetchmail(_ count: Int, _ place: Place) async throws -> [ChildProcess] {
        var children: [ChildProcess] = []
        for number in 0..<count {
            let user = SyntheticIMAPServer.user(number)
            // It keeps its state in its home, one process for each.
            let home = place.folder.file(user)
            guard FileSystem.createFolder(home) else { throw BenchError("cannot make \(home)") }
            let settings = """
                poll localhost service \(place.port) protocol imap username "\(user)" password "secret"
                  ssl sslproto "TLS1.2+" sslcertck sslcertfile "\(place.caFile)" idle keep
                  mda "/bin/sh -c 'cat >/dev/null; echo \(user) >\(place.clock.path)'"

                """
            let file = try place.folder.write(settings, to: "\(user)/rc")
            children.append(
                try await ChildProcess(
                    "fetchmail", ["--fetchmailrc", file, "--nosyslog", "--nodetach", "--pidfile", "\(home)/pid"],
                    .init(environment: ["HOME": home, "FETCHMAILHOME": home, "PATH": "/usr/bin:/bin"])))
        }
        return children
    }

    private func aioimaplib(_ count: Int, _ place: Place) async throws -> [ChildProcess] {
        [
            try await ChildProcess(
                BenchPaths.python,
                [BenchPaths.script("aioimaplib_idle.py"), "\(place.port)", place.caFile, "\(count)", place.clock.path])
        ]
    }
}
