import Base
import GatewayTestKit
import Glibc
import Testing

/// Whether the benchmarks still run, in their smallest sizes. No time is judged: the build has no optimisation, and
/// other tests run beside it.
@Suite(.timeLimit(.minutes(2))) struct BenchmarkTests {
    private static let program = "\(FileSystem.folder(of: GatewayProcess.program))/farbell-bench"

    private static func run(_ arguments: String...) async throws -> (ChildProcess.Exit, output: String, errors: String)
    {
        let result = try await ChildProcess.run(program, arguments, deadline: .seconds(100))
        return (result.exit, result.output.joined(separator: "\n"), result.errors.joined(separator: "\n"))
    }

    @Test("the ring benchmark loses and doubles nothing, and measures idle mailboxes")
    func ring() async throws {
        let (exit, output, errors) = try await Self.run(
            "ring", "--quick", "--mailboxes", "5", "--seconds", "1", "--idle-mailboxes", "10")
        #expect(exit == .code(0), "\(output)\n\(errors)")
        #expect(output.contains("20 mails at 20/s over 5 mailboxes"), "\(output)")
        #expect(output.contains("missed 0, doubled 0, without a record 0"), "\(output)")
        #expect(output.contains("| Farbell |        10 |"), "\(output)")
    }

    @Test("the monitors benchmark loses and doubles nothing, and nothing rings again after the restart")
    func monitors() async throws {
        let (exit, output, errors) = try await Self.run("monitors", "--quick", "--mailboxes", "10")
        #expect(exit == .code(0), "\(output)\n\(errors)")
        #expect(output.contains("10 IMAP mailboxes with TLS"), "\(output)")
        #expect(output.contains("missed 0, doubled 0"), "\(output)")
        #expect(output.contains("after the restart 0 rang again"), "\(output)")
    }

    @Test("the monitors benchmark does so with mailboxes on Exchange and with Matrix users")
    func monitorsOverHTTP() async throws {
        let (exit, output, errors) = try await Self.run(
            "monitors", "--quick", "--parts", "ews,matrix", "--ews-mailboxes", "6", "--ews-connections", "3",
            "--matrix-users", "6")
        #expect(exit == .code(0), "\(output)\n\(errors)")
        for part in ["6 EWS mailboxes with TLS", "6 Matrix users with TLS"] {
            #expect(output.contains(part), "\(output)")
        }
        #expect(output.split(separator: "missed 0, doubled 0 of 20").count == 3, "\(output)")
        #expect(output.split(separator: "after the restart 0 rang again").count == 3, "\(output)")
    }

    @Test("the launch benchmark decides on every client that is hidden, and says which farms are not here")
    func launch() async throws {
        let (exit, output, errors) = try await Self.run("launch", "--quick", "--parts", "presence")
        #expect(exit == .code(0), "\(output)\n\(errors)")
        #expect(output.contains("5 reports of 5") && output.contains("not decided 0, not pushed 0"), "\(output)")
        let bare = try await ChildProcess.run(
            "/usr/bin/env", ["PATH=/nonexistent", Self.program, "launch", "--parts", "novnc,xpra"])
        #expect(bare.exit == .code(0))
        for farm in ["novnc: not measured; missing: xdotool", "xpra: not measured; missing: xdotool"] {
            #expect(bare.output.contains { $0.contains(farm) }, "\(bare.output)")
        }
    }

    @Test(
        "SG-11 the launch benchmark: a tap brings the app's window up on real farms, started anew, started and raised",
        .enabled(if: FileSystem.exists("/usr/bin/Xvnc") && FileSystem.exists("/usr/bin/xpra"), "needs the farms"),
        .enabled(if: geteuid() == 0, "needs root"))
    func launchOnFarms() async throws {
        let (exit, output, errors) = try await Self.run("launch", "--quick", "--parts", "novnc,xpra")
        #expect(exit == .code(0), "\(output)\n\(errors)")
        for row in ["| novnc, no session ", "| novnc, running, out of sight ", "| xpra, not running in the session "] {
            #expect(output.contains(row), "\(output)\n\(errors)")
        }
    }

    @Test(
        "IM-12 the im benchmark loses and doubles nothing that people say to one another, nor a push with no page open")
    func talk() async throws {
        let (exit, output, errors) = try await Self.run("im", "--quick", "--peers", "farbell,prosody")
        #expect(exit == .code(0), "\(output)\n\(errors)")
        let row = output.split(separator: "\n").first { $0.contains("| farbell ") } ?? ""
        let cells = row.split(separator: "|").map { String($0).trimmingSpace }
        #expect(cells.contains("yes: synced before the answer"), "\(output)")
        #expect(cells.count > 8 && cells[7] == "0" && cells[8] == "0", "\(output)")
        #expect(output.contains("| push accepted ") && output.contains("not pushed 0, pushed twice 0"), "\(output)")
    }

    @Test(
        "the presence benchmark has all its beats taken",
        .enabled(if: FileSystem.exists("/usr/bin/wrk"), "needs wrk"))
    func presence() async throws {
        let (exit, output, errors) = try await Self.run("presence", "--quick", "--seconds", "1")
        #expect(exit == .code(0), "\(output)\n\(errors)")
        #expect(output.contains("20 sessions, 8 connections kept alive"), "\(output)")
    }

    @Test("the push benchmark loses and doubles nothing, with a dead service beside it too")
    func push() async throws {
        let (exit, output, errors) = try await Self.run("push", "--quick")
        #expect(exit == .code(0), "\(output)\n\(errors)")
        for part in ["apns-rate", "webpush-rate", "webhook-rate", "latency", "dead"] {
            #expect(output.contains("## \(part): "), "\(output)")
        }
        // Each of those it is compared with is named, whether it is here or not.
        for peer in ["aioapns", "pywebpush", "apprise", "Alertmanager"] { #expect(output.contains(peer), "\(output)") }
    }

    @Test("what is not a benchmark, or not an option of it, ends with 64 and a suggestion")
    func usage() async throws {
        for (arguments, word) in [(["rung"], "'ring'"), (["ring", "--secnds", "1"], "seconds")] {
            let result = try await ChildProcess.run(Self.program, arguments)
            #expect(result.exit == .code(64))
            #expect(result.errors.joined().contains(word), "\(result.errors)")
        }
    }
}
