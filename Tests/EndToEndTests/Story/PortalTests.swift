import Base
import GatewayTestKit
import Testing

/// The walk that `Scripts/see-portal` makes, too.
private enum PortalWalk {
    static let root = "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
    static let python = "\(root)/.venv/bin/python"
    static let isPossible =
        FileSystem.exists("/usr/bin/chromium") && FileSystem.exists(python)
        && FileSystem.exists("\(root)/.venv/axe-core/axe.min.js")
}

/// The portal in a real browser.
@Suite(.enabled(if: PortalWalk.isPossible, "needs chromium, and axe-core in .venv"), .timeLimit(.minutes(5)))
struct PortalTests {
    @Test(
        """
        IM-7 SG-1 SG-3 SG-7 SG-9 SG-11 MN-5 in Chromium: signs in, sets apps up, is in front and is not, gets pushes, \
        taps, launches, signs out; axe-core finds nothing
        """)
    func walk() async throws {
        let folder = try TemporaryFolder()
        let walk = try await ChildProcess.run(
            PortalWalk.python,
            ["-B", "\(PortalWalk.root)/Scripts/portal.d/see.py", GatewayProcess.program, folder.file("pictures")],
            deadline: .seconds(240))
        #expect(walk.exit == .code(0), "\((walk.output + walk.errors).joined(separator: "\n"))")
    }
}
