import Base
import GatewayTestKit
import Testing

@Suite("Child processes", .timeLimit(.minutes(1))) struct ProcessTests {
    @Test("lines are readable while the program runs, and it reads what we write") func conversation() async throws {
        let child = try await ChildProcess("sh", ["-c", "echo ready; read word; echo got $word >&2; exit 3"])
        try await child.waitForLine("ready") { $0 == "ready" }
        #expect(child.exit == nil)
        try child.write("apple\n")
        #expect(try await child.waitForExit() == .code(3))
        #expect(child.output == ["ready"])
        #expect(child.errors == ["got apple"])
    }

    @Test("environment and working folder are the program's") func surroundings() async throws {
        let folder = try TemporaryFolder()
        let options = ChildProcess.Options(
            environment: ["PATH": "/usr/bin:/bin", "FRUIT": "pear"], workingFolder: folder.path)
        let child = try await ChildProcess("sh", ["-c", "echo $FRUIT; pwd; env | wc -l"], options)
        #expect(try await child.waitForExit() == .code(0))
        #expect(child.output[0...1] == ["pear", folder.path])
    }

    @Test("a stopped program stands still until it is resumed; a killed one has ended") func signals() async throws {
        let child = try await ChildProcess("sh", ["-c", "while read line; do echo $line; done"])
        try child.write("one\n")
        try await child.waitForLine("one") { $0 == "one" }
        child.stop()
        try child.write("two\n")
        try await Eventually.wait("state T") {
            FileSystem.contents(of: "/proc/\(child.processID)/stat", limit: 4096).map {
                String(decoding: $0, as: UTF8.self).contains(") T ")
            } ?? false
        }
        #expect(child.output == ["one"])
        child.resume()
        try await child.waitForLine("two") { $0 == "two" }
        child.kill()
        #expect(try await child.waitForExit() == .signal(9))
    }

    @Test("the program and its own children die with the object") func deinitialisation() async throws {
        var child: ChildProcess? = try await ChildProcess("sh", ["-c", "sleep 1000 & echo $!; wait"])
        let grandchild = try #require(try await child?.waitForLine("a process id") { !$0.isEmpty })
        #expect(FileSystem.exists("/proc/\(grandchild)"))
        child = nil
        try await Eventually.wait("the end of \(grandchild)") {
            guard let stat = FileSystem.contents(of: "/proc/\(grandchild)/stat", limit: 4096) else { return true }
            return String(decoding: stat, as: UTF8.self).contains(") Z ")
        }
    }

    @Test("a program that does not exist ends with a code or an error") func missing() async throws {
        let exit = try? await ChildProcess.run("/nonexistent/program", []).exit
        #expect(exit != .code(0))
    }

    @Test("a temporary folder vanishes with all it holds") func folder() throws {
        var folder: TemporaryFolder? = try TemporaryFolder()
        let path = try #require(folder?.path)
        try folder?.write("x", to: "a")
        #expect(FileSystem.createFolder("\(path)/b/c"))
        #expect(FileSystem.exists("\(path)/a"))
        folder = nil
        #expect(!FileSystem.exists(path))
    }
}
