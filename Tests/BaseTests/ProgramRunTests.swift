import Base
import Testing

@Suite("running programs to their end", .timeLimit(.minutes(1)))
struct ProgramRunTests {
    private func run(
        _ script: String, input: String = "", within limit: Duration = .seconds(10)
    ) async throws(ProgramRun.Failure) -> ProgramRun.Output {
        try await ProgramRun.output(
            of: ChildProgram.Command("/bin/sh", ["-c", script]), input: Array(input.utf8), within: limit,
            time: SystemTime())
    }

    @Test("lines in, lines out, and the status") func lines() async throws {
        let output = try await run("cat; echo more; echo bad >&2; exit 3", input: "one")
        #expect(output.lines == ["one", "more"] && output.errors == ["bad"] && output.exit == .code(3))
        #expect(try await run("cat").lines == [], "without input it is at its end at once")
    }

    @Test("one that hangs is killed with what it started") func hangs() async throws {
        let begin = SystemTime().now
        let failure = await #expect(throws: ProgramRun.Failure.self) {
            _ = try await run("sleep 600 & sleep 600", within: .milliseconds(200))
        }
        #expect(failure?.code == .tooSlow)
        #expect(SystemTime().now - begin < .seconds(60))
    }

    @Test("one that cannot be started or writes without end is told") func faults() async {
        let missing = await #expect(throws: ProgramRun.Failure.self) {
            _ = try await ProgramRun.output(
                of: ChildProgram.Command("/no/such"), within: .seconds(5), time: SystemTime())
        }
        #expect(missing?.code == .notStarted)
        let endless = await #expect(throws: ProgramRun.Failure.self) { _ = try await run("yes") }
        #expect(endless?.code == .tooMuch)
    }

    @Test("nobody waits: it is killed") func cancelled() async throws {
        let task = Task { try await run("echo ready; sleep 600") }
        task.cancel()
        let result = await task.result
        #expect(throws: ProgramRun.Failure.self) { _ = try result.get() }
    }
}
