import Base
import GatewayTestKit
import Glibc
import Testing

@Suite struct LineSplitterTests {
    @Test("lines come whole, whatever pieces they arrive in", arguments: [1, 2, 3, 100])
    func pieces(size: Int) {
        var splitter = LineSplitter(limit: 10)
        var bytes = Array("one\ntwo\r\n\nthree".utf8)[...]
        var lines: [LineSplitter.Piece] = []
        while !bytes.isEmpty {
            lines += splitter.feed(bytes.prefix(size))
            bytes = bytes.dropFirst(size)
        }
        #expect(lines == [.line(Array("one".utf8)), .line(Array("two".utf8)), .line([])])
        #expect(splitter.finish() == Array("three".utf8))
        #expect(splitter.finish() == nil)
    }

    @Test("a line above the limit is cut, and the next one is whole again", arguments: [1, 5, 100])
    func limit(size: Int) {
        var splitter = LineSplitter(limit: 4)
        var bytes = Array("abcd\nabcdefgh\nij\n".utf8)[...]
        var lines: [LineSplitter.Piece] = []
        while !bytes.isEmpty {
            lines += splitter.feed(bytes.prefix(size))
            bytes = bytes.dropFirst(size)
        }
        #expect(lines == [.line(Array("abcd".utf8)), .cut(Array("abcd".utf8)), .line(Array("ij".utf8))])
    }
}

@Suite(.timeLimit(.minutes(3))) struct ChildProgramTests {
    /// A program and what it has said.
    private final class Subject: Sendable {
        let events = Recorder<ChildProgram.Event>()
        let program: ChildProgram

        init(_ command: ChildProgram.Command, _ limits: ChildProgram.Limits = ChildProgram.Limits()) async throws {
            let events = events
            program = try await Self.starting.run {
                try ChildProgram(command, limits: limits) { events.append($0) }
            }
        }

        convenience init(shell script: String, grace: Duration = .milliseconds(300)) async throws {
            var limits = ChildProgram.Limits()
            limits.grace = grace
            limits.lineBytes = 100_000
            try await self.init(
                ChildProgram.Command("/bin/sh", ["-c", script], environment: ["PATH": "/usr/bin:/bin"]), limits)
        }

        private static let starting = WorkThread(name: "test-start")

        var lines: [String] {
            events.all.compactMap {
                if case .line(let line) = $0 { String(decoding: line, as: UTF8.self) } else { nil }
            }
        }

        var errors: [String] {
            events.all.compactMap {
                if case .errorLine(let line) = $0 { String(decoding: line, as: UTF8.self) } else { nil }
            }
        }

        func exit(deadline: Duration = .seconds(60)) async throws -> ChildProgram.Exit {
            let last = try await events.first(deadline: deadline) { if case .ended = $0 { true } else { false } }
            guard case .ended(let exit) = last else { throw PeerError(.process, "no end") }
            return exit
        }
    }

    @Test("lines go in and come out, in order, also large ones and many")
    func echo() async throws {
        let subject = try await Subject(ChildProgram.Command("/bin/cat"))
        let lines = (0..<2000).map { "line \($0) \(String(repeating: "x", count: $0 % 300))" }
        for line in lines {
            while !subject.program.send(Array(line.utf8)) { try await Task.sleep(for: .milliseconds(1)) }
        }
        try await Eventually.wait("all lines", for: .seconds(60)) { subject.lines.count == lines.count }
        #expect(subject.lines == lines)
        subject.program.stop()
        #expect(try await subject.exit() == .code(0))
        #expect(!subject.program.send([1]))
    }

    @Test("arguments are given as they are, the environment is the one given, and nothing else is open")
    func surroundings() async throws {
        let folder = TemporaryFolder()
        let command = ChildProgram.Command(
            "/bin/sh",
            [
                "-c",
                "printf '%s\\n' \"$1\" \"$2\"; pwd; env | grep -v '^PWD\\|^_\\|^SHLVL\\|^OLDPWD'; ls /proc/self/fd",
                "name", "a b; $(id)", "*",
            ],
            environment: ["PATH": "/usr/bin:/bin", "COLOUR": "blue"], folder: folder.path)
        // One that is not marked close-on-exec, as some library may leave it.
        let leaked = unsafe open("/dev/null", O_RDONLY)
        defer { close(leaked) }
        let subject = try await Subject(command)
        #expect(try await subject.exit() == .code(0))
        // 3 is the folder that `ls` itself has open.
        #expect(
            subject.lines == ["a b; $(id)", "*", folder.path, "COLOUR=blue", "PATH=/usr/bin:/bin", "0", "1", "2", "3"])
    }

    @Test("standard error comes apart from the output, long lines cut; the exit status is told last")
    func errors() async throws {
        let subject = try await Subject(
            shell: "echo out; echo err >&2; head -c 5000 /dev/zero | tr '\\0' y >&2; echo >&2; printf last; exit 7")
        #expect(try await subject.exit() == .code(7))
        #expect(subject.lines == ["out", "last"])
        #expect(subject.errors.map(\.utf8.count) == [3, 1000])
        guard case .ended = subject.events.last else {
            Issue.record("something came after the end")
            return
        }
    }

    @Test("a line above the limit is the program's end")
    func lineTooLong() async throws {
        let subject = try await Subject(shell: "head -c 200000 /dev/zero | tr '\\0' z; sleep 60")
        #expect(try await subject.exit() == .signal(SIGKILL))
        #expect(subject.events.all.contains(.lineTooLong))
    }

    @Test("a stop is the end of the input, then SIGTERM, then SIGKILL")
    func stop() async throws {
        let polite = try await Subject(shell: "while read -r line; do echo \"got $line\"; done; echo bye; exit 3")
        _ = polite.program.send(Array("it".utf8))
        polite.program.stop()
        #expect(try await polite.exit() == .code(3))
        #expect(polite.lines == ["got it", "bye"])
        let deaf = try await Subject(shell: "trap 'echo term; exit 4' TERM; echo up; while :; do sleep 0.05; done")
        try await Eventually.wait("the trap", for: .seconds(60)) { deaf.lines == ["up"] }
        deaf.program.stop()
        #expect(try await deaf.exit() == .code(4))
        let stubborn = try await Subject(shell: "trap '' TERM; echo up; while :; do sleep 0.05; done")
        try await Eventually.wait("the trap", for: .seconds(60)) { stubborn.lines == ["up"] }
        stubborn.program.stop()
        #expect(try await stubborn.exit() == .signal(SIGKILL))
    }

    @Test("what the program leaves running is killed with it and does not delay its end")
    func grandchildren() async throws {
        let subject = try await Subject(shell: "sleep 600 & echo $!; exit 0")
        #expect(try await subject.exit(deadline: .seconds(40)) == .code(0))
        let left = try #require(Int32(subject.lines.first ?? ""))
        // A killed one may still wait for the init process to take note of it.
        try await Eventually.wait("the end of what it left", for: .seconds(60)) {
            let status = FileSystem.contents(of: "/proc/\(left)/stat", limit: 4096) ?? []
            return status.isEmpty || String(decoding: status, as: UTF8.self).contains(") Z ")
        }
    }

    @Test("losing the last reference stops the program")
    func lastReference() async throws {
        let events = Recorder<ChildProgram.Event>()
        let starting = WorkThread(name: "test-start")
        _ = try await starting.run {
            try ChildProgram(ChildProgram.Command("/bin/cat")) { events.append($0) }.processID
        }
        try await events.first(deadline: .seconds(60)) { $0 == .ended(.code(0)) }
    }

    @Test("a program that reads nothing fills its queue and no more")
    func waiting() async throws {
        let subject = try await Subject(shell: "exec sleep 60")
        let line = [UInt8](repeating: 0x78, count: 60_000)
        var taken = 0
        while taken < 100, subject.program.send(line) { taken += 1 }
        #expect((17...40).contains(taken), "\(taken)")
        subject.program.kill()
        #expect(try await subject.exit() == .signal(SIGKILL))
    }

    @Test("what cannot be started says why", arguments: ["/nonexistent/program", "cat", "/etc/passwd"])
    func unstartable(path: String) async throws {
        await #expect(throws: ChildProgramError.self) { _ = try await Subject(ChildProgram.Command(path)) }
    }
}
