import Base
import GatewayTestKit
import Testing

/// The manual for web applications is run as it stands.
@Suite(.timeLimit(.minutes(3)))
struct WebApplicationManualTests {
    /// The commands of a section: the lines that are indented as code within its list.
    private static func commands(of section: String, in manual: String) throws -> [String] {
        let lines = manual.split(separator: "\n", omittingEmptySubsequences: false)
        let start = try #require(lines.firstIndex { $0 == "## \(section)" })
        let rest = lines[(start + 1)...]
        let indent = "       "
        return rest[..<(rest.firstIndex { $0.hasPrefix("## ") } ?? rest.endIndex)]
            .filter { $0.hasPrefix(indent) }.map { String($0.dropFirst(indent.count)) }
    }

    @Test("IM-1 IM-4 IM-5 ten minutes from nothing to a two-way conversation, word for word but for the ports")
    func tenMinutes() async throws {
        let root = "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
        let file = "\(root)/Documentation/WebApplications.md"
        let manual = String(decoding: try #require(FileSystem.contents(of: file, limit: 1 << 20)), as: UTF8.self)
        let commands = try Self.commands(of: "Ten minutes to a two-way conversation", in: manual)
        #expect(commands.count > 30)
        let (gateway, application) = (try ServerPort.next(), try ServerPort.next())
        let script = commands.joined(separator: "\n")
            .replacing("8440", with: "\(gateway)").replacing("9000", with: "\(application)")
        let folder = try TemporaryFolder()
        let prologue = """
            set -eu
            trap 'kill $(jobs -p); wait' EXIT
            cd '\(folder.path)'
            ln -s '\(root)/Documentation' Documentation
            mkdir new
            cd new
            export PATH='\(FileSystem.folder(of: GatewayProcess.program))':$PATH

            """
        let (exit, output, errors) = try await ChildProcess.run(
            "/bin/bash", ["-c", prologue + script], deadline: .seconds(90))
        #expect(exit == .code(0), "\(output) \(errors)")
        let said = output.joined(separator: "\n")
        #expect(said.contains("May I approve three days of leave? Answer yes or no."))
        #expect(said.contains("Noted: three days of leave is approved."))
    }
}
