internal import Base
internal import GatewayTestKit

/// A farm's host with a user of its own on this machine, by `Scripts/bench.d/farm-site`.
struct FarmHost: Sendable {
    private static var script: String { BenchPaths.script("farm-site") }

    /// Holds the farms' programs, and `times`: from when to when each of them ran.
    let folder: String
    private let user: String
    private let farm: String
    private let keeper: ChildProcess

    /// Makes the user and the folder. They are gone when this process has ended, in whatever way.
    /// - Throws: `PeerError`, `DeadlineMissed`.
    init(user: String, farm: String) async throws {
        (self.user, self.farm) = (user, farm)
        // In a session of its own: what ends this process must not keep it from tidying up.
        keeper = try await ChildProcess("/usr/bin/setsid", ["--fork", Self.script, "make", user])
        folder = try await keeper.waitForLine("a folder", deadline: .seconds(90)) { $0.hasPrefix("/") }
    }

    /// Runs `close`, `hide` or `end`.
    /// - Throws: `BenchError` when it did not come about; `DeadlineMissed`.
    func run(_ command: String) async throws {
        let result = try await ChildProcess.run(Self.script, [command, folder, user, farm], deadline: .seconds(90))
        guard result.exit == .code(0) else {
            throw BenchError("\(farm): \(command): \(result.errors.joined(separator: "; "))")
        }
    }

    /// Begins to look for the app's window, which ends with a line that says when it was seen. Returns when it is being
    /// looked for: starting what looks is no part of the launch.
    /// - Throws: `DeadlineMissed`.
    func lookForWindow() async throws -> ChildProcess {
        let looker = try await ChildProcess(Self.script, ["shown", folder, user, farm])
        try await looker.waitForLine("that it is looked for", deadline: .seconds(30)) { $0 == "looking" }
        return looker
    }

    /// The pieces of `times`: beginning and end of each program that ran, in seconds since 1970.
    var times: [(begin: String, end: String)] {
        let text = FileSystem.contents(of: "\(folder)/times", limit: 1 << 20) ?? []
        return String(decoding: text, as: UTF8.self).split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            return words.count == 2 ? (String(words[0]), String(words[1])) : nil
        }
    }

    /// Ends everything of the user's and removes it.
    /// - Throws: `DeadlineMissed`.
    func remove() async throws {
        keeper.closeInput()
        try await keeper.waitForExit(deadline: .seconds(60))
    }
}
