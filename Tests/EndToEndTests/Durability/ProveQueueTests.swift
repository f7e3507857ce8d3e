import Base
import GatewayTestKit
import Glibc
import Testing

/// The proof itself, in its smallest size: `Scripts/prove-queue` runs it for long.
@Suite(.timeLimit(.minutes(2))) struct ProveQueueTests {
    private static func run(_ arguments: [String]) async throws -> (exit: ChildProcess.Exit, text: String) {
        let program = "\(FileSystem.folder(of: GatewayProcess.program))/farbell-prove"
        // A disk that is mounted for it goes with it.
        let canMount = geteuid() == 0
        let tried = try await ChildProcess.run("unshare", ["--mount", "true"]).exit
        let isOwn = canMount && tried == .code(0)
        let words = (isOwn ? ["unshare", "--mount", "--propagation", "private"] : []) + [program] + arguments
        let result = try await ChildProcess.run(words[0], Array(words.dropFirst()), deadline: .seconds(100))
        return (result.exit, (result.output + result.errors).joined(separator: "\n"))
    }

    @Test("G1 G2 G3 G4 G5 G6 G7 G10 G11 three deaths under load: nothing lost, nothing twice, nothing out of order")
    func short() async throws {
        let (exit, text) = try await Self.run(["--rounds", "3", "--milliseconds", "600"])
        #expect(exit == .code(0), "\(text)")
        #expect(text.contains("Nothing is wrong."))
        #expect(text.contains("round 3: "))
    }

    @Test("what it does not know ends with 64 and a suggestion") func usage() async throws {
        let (exit, text) = try await Self.run(["--mode", "powercat"])
        #expect(exit == .code(64) && text.contains("did you mean 'powercut'"), "\(text)")
    }
}
