internal import Base
internal import GatewayTestKit
internal import Glibc
internal import Outbound

/// Launches by taps of real notifications on a real farm. What the device and Farbell's page do over HTTP is done here;
/// no browser is part of it.
struct LaunchFarm: Sendable {
    enum Kind: String, Sendable, CaseIterable {
        case novnc
        case xpra

        private var programs: [String] {
            let shared = ["xdotool", "openbox", "xterm", "wmctrl", "python3", "clang"]
            return shared + (self == .xpra ? ["xpra", "Xvfb"] : ["Xvnc", "vncpasswd"])
        }

        /// Why it cannot be measured here; nil when it can.
        var missing: String? {
            var missing = programs.filter { !BenchPaths.has($0) }
            if self == .novnc, !FileSystem.exists("/usr/share/novnc/core/rfb.js") { missing.append("noVNC") }
            if !missing.isEmpty { return "missing: \(missing.joined(separator: ", ")) (Scripts/install --farms)" }
            return geteuid() == 0 ? nil : "it needs root: it makes a user of its own"
        }
    }

    /// Where the app is when the tap comes.
    enum Case: String, Sendable {
        case cold = "no session"
        case started = "not running in the session"
        case raised = "running, out of sight"
    }

    struct Sample: Sendable {
        /// From the tap's request to its answer, which the device opens.
        let tap: Duration
        /// From the ticket's request to its answer, which says where the app is.
        let redeem: Duration
        /// In which any of the farm's programs ran meanwhile.
        let programs: Duration
        /// From the tap's request until the app's window was seen; nil where it is on the screen all the time.
        let window: Duration?

        var own: Duration { tap + redeem - programs }
    }

    /// The account is a user of the farm's host of the same name, and has the first mailbox.
    private static let account = SyntheticIMAPServer.user(0)

    private let kind: Kind

    init(_ kind: Kind) { self.kind = kind }

    /// - Throws: `BenchError`, `PeerError`, `DeadlineMissed` when an app does not come up.
    func run(_ counts: [(Case, Int)], _ setup: RingSetup) async throws -> [(Case, [Sample])] {
        let imap = try setup.mailServer()
        defer { imap.stop() }
        let site = try await FarmHost(user: Self.account, farm: kind.rawValue)
        let gateway = try await setup.gateway(
            mailboxes: 1, port: imap.port, farm: configuration(site),
            launch: kind == .xpra ? ["command": ["xterm"]] : nil)
        do {
            try await imap.waitForIdlers(1, deadline: .seconds(60))
            let tapper = try LaunchTapper(setup: setup, imap: imap, gateway: gateway, site: site, account: Self.account)
            var results: [(Case, [Sample])] = []
            for (kind, count) in counts {
                Report.progress("\(self.kind.rawValue): \(count) launches, the app \(kind.rawValue)")
                var samples: [Sample] = []
                for _ in 0..<count {
                    try await prepare(kind, site)
                    samples.append(try await tapper.launch(looks: kind != .raised || self.kind == .novnc))
                }
                results.append((kind, samples))
            }
            await gateway.stop()
            try await site.remove()
            return results
        } catch {
            Report.progress("the gateway's log: \(gateway.logTail)")
            await gateway.stop()
            try await site.remove()
            throw error
        }
    }

    private func prepare(_ kind: Case, _ site: FarmHost) async throws {
        switch kind {
        case .cold: try await site.run("end")
        case .started: try await site.run("close")
        // xpra has no client here that could hide a window.
        case .raised: if self.kind == .novnc { try await site.run("hide") }
        }
    }

    private func configuration(_ site: FarmHost) -> JSON {
        let session: JSON = .strings([
            "\(site.folder)/timed", "/usr/bin/env", "FARBELL_APPS=\(site.folder)/apps",
            "FARBELL_STATE=\(site.folder)/\(kind.rawValue)", "\(site.folder)/tools/\(kind.rawValue)-session",
        ])
        switch kind {
        // Nobody connects to the pictures.
        case .novnc: return ["kind": "novnc", "socket": "ws://127.0.0.1:9/websockify", "session": session]
        case .xpra:
            return [
                "kind": "xpra", "origins": ["http://127.0.0.1:*"], "pollSeconds": 60, "session": session,
                "xpra": .string("\(site.folder)/xpra-timed"),
            ]
        }
    }
}
