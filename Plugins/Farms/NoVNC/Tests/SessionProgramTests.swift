import Base
import Gateway
import GatewayTestKit
import Glibc
import Testing

@testable import NoVNCFarm

/// The session program that comes with Farbell, for a user who is on every machine, and with a screen that "runs".
@Suite(
    "novnc-session", .timeLimit(.minutes(1)),
    .enabled(if: geteuid() == 0 && FileSystem.exists("/usr/sbin/runuser"), "needs root: it becomes another user"))
struct SessionProgramTests {
    private static let program =
        "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Tools/novnc-session"

    /// That the app is out of the program's process group in time shows on a busy machine only: without it some taps
    /// are lost there.
    @Test("SG-11 the app in a running session hears of every tap, and outlives the session program")
    func taps() async throws {
        let folder = try TemporaryFolder()
        for name in ["apps", "state", "taps", "core"] { _ = FileSystem.createFolder(folder.file(name)) }
        // It lives on after the session program.
        try folder.script("sleep 0.1; : > \(folder.file("taps"))/$FARBELL_ITEM", to: "apps/mail")
        let opening = try await ChildProcess.run(
            "/bin/chmod", ["0777", folder.path, folder.file("apps"), folder.file("taps")])
        try #require(opening.exit == .code(0))
        // The screen's process is this one.
        try folder.write("99 \(getpid()) password\n", to: "state/nobody.display")
        try folder.write("export default class {}", to: "core/rfb.js")
        let site = try FarmSite(
            NoVNCPlugin(),
            """
            "socket":"wss://farm.example/websockify","pages":"\(folder.path)","session":["/usr/bin/env",\
            "FARBELL_APPS=\(folder.file("apps"))","FARBELL_STATE=\(folder.file("state"))","\(Self.program)"]
            """, time: SystemTime(), log: Log(sink: NullLogSink()))
        for tap in 1...6 {
            let start = try await site.start(FarmSite.request(account: "nobody", item: "\(tap)"))
            guard case .rfb(_, _, let password?) = start else { throw PeerError(.process, "no screen") }
            #expect(password.exposed == "password")
        }
        try await Eventually.wait("every tap reached the app") {
            (1...6).allSatisfy { FileSystem.exists(folder.file("taps/\($0)")) }
        }
    }
}
