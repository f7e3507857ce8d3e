import Base
import Glibc
import GatewayTestKit
import Testing

/// The walks that `Scripts/see-portal` makes, too.
enum PortalWalk {
    static let root = "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
    static let python = "\(root)/.venv/bin/python"
    static let isPossible =
        FileSystem.exists("/usr/bin/chromium") && FileSystem.exists(python)
        && FileSystem.exists("\(root)/.venv/axe-core/axe.min.js")
    static let hasDesktop =
        FileSystem.exists(python)
        && ["Xvfb", "dbus-daemon", "openbox", "import"].allSatisfy { FileSystem.exists("/usr/bin/\($0)") }
        && FileSystem.exists("/usr/lib/python3/dist-packages/dbus")
        && FileSystem.exists("/usr/lib/python3/dist-packages/gi")
    static let hasFarm =
        geteuid() == 0 && hasDesktop && FileSystem.exists("/usr/sbin/dovecot")
        && ["Xvnc", "vncpasswd", "websockify", "wmctrl", "sylpheed"].allSatisfy { FileSystem.exists("/usr/bin/\($0)") }
        && FileSystem.exists("/usr/share/novnc/core/rfb.js")

    /// Runs one of the scripts with the built program.
    static func run(_ script: String, _ arguments: String...) async throws {
        let folder = try TemporaryFolder()
        let walk = try await ChildProcess.run(
            python,
            ["-B", "\(root)/Scripts/portal.d/\(script)", GatewayProcess.program, folder.file("pictures")] + arguments,
            deadline: .seconds(240))
        #expect(walk.exit == .code(0), "\((walk.output + walk.errors).joined(separator: "\n"))")
    }
}

/// The portal in a real browser.
@Suite(.enabled(if: PortalWalk.isPossible, "needs chromium, and axe-core in .venv"), .timeLimit(.minutes(5)))
struct PortalTests {
    @Test(
        """
        IM-2 IM-7 IM-8 IM-9 IM-10 SG-1 SG-3 SG-7 SG-9 SG-11 MN-5 in Chromium: signs in, sets apps up, is in front and \
        is not, gets pushes, taps, launches; two people become contacts, talk, send a file and see one another; signs out; axe-core finds nothing
        """)
    func walk() async throws { try await PortalWalk.run("see.py") }

    @Test(
        """
        IM-2 IM-7 IM-9 in Chromium: a person in the page and one with an XMPP client by Prosody see one another, hear \
        each other's messages, typing, and what was delivered and read
        """,
        .enabled(
            if: XMPPClientProcess.isAvailable && FileSystem.exists("/usr/bin/prosody"),
            "needs prosody and python3-slixmpp: Scripts/install --tests"))
    func bridge() async throws { try await PortalWalk.run("bridge.py") }
}

/// Pushes, the desktop's own notifications, and clicks on them.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct ClickTests {
    static let hasFirefox = FileSystem.exists("/usr/bin/firefox-esr")
    static let hasChromium = FileSystem.exists("/usr/bin/chromium")

    @Test(
        """
        IM-2 SG-8 SG-11 SG-13 MN-12 Firefox subscribes at its own push service, decrypts our push with no page open, \
        and a click on the notification opens the app, or the conversation
        """,
        .enabled(
            if: hasFirefox && PortalWalk.hasDesktop,
            "needs firefox-esr, Xvfb, dbus-daemon, openbox, imagemagick, python3-dbus, python3-gi: Scripts/install --tests"
        ))
    func firefox() async throws { try await PortalWalk.run("clicks.py", "firefox") }

    @Test(
        "IM-2 SG-8 SG-11 MN-12 Chromium shows our decrypted push on the desktop, and a click on it opens the app or the conversation",
        .enabled(
            if: hasChromium && PortalWalk.hasDesktop,
            "needs chromium, Xvfb, dbus-daemon, openbox, imagemagick, python3-dbus, python3-gi: Scripts/install --tests"
        ))
    func chromium() async throws { try await PortalWalk.run("clicks.py", "chromium") }

    @Test(
        "IM-2 IM-7 IM-10 in two Firefoxes: two people become contacts and talk, with typing, marks, edits and withdrawals",
        .enabled(if: hasFirefox && PortalWalk.hasDesktop, "needs firefox-esr and Scripts/install --tests"))
    func twoInFirefox() async throws { try await PortalWalk.run("together.py") }

    @Test(
        """
        SG-1 SG-3 SG-7 SG-8 SG-9 SG-11 real parts only, in Firefox: Dovecot's mail in Sylpheed on Xvnc in the portal, \
        rung behind a tab and with no page, each click is back in the app, at the mail
        """,
        .enabled(if: hasFirefox && PortalWalk.hasFarm, "needs root and Scripts/install --tests --farms"))
    func wholeInFirefox() async throws { try await PortalWalk.run("whole.py", "firefox") }

    @Test(
        "SG-1 SG-3 SG-7 SG-8 SG-9 SG-11 the same in Chromium, with the push given to the worker by DevTools",
        .enabled(if: hasChromium && PortalWalk.hasFarm, "needs root and Scripts/install --tests --farms"))
    func wholeInChromium() async throws { try await PortalWalk.run("whole.py", "chromium") }
}
