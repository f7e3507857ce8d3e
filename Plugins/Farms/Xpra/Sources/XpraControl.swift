package import Base
package import Gateway

/// What `xpra info` says of a server that matters here.
package struct XpraStatus: Sendable, Hashable {
    /// Whether each client is suspended (the HTML5 client: its page is hidden).
    package var suspended: [String: Bool] = [:]
    /// The class of each window, by its number.
    package var windows: [String: String] = [:]

    /// - Parameter lines: `key=value`; the first client's keys begin with `client.`, the second's with `client.1.`.
    package init(lines: [String]) {
        for line in lines {
            guard let equals = line.firstIndex(of: "=") else { continue }
            let words = line[..<equals].split(separator: ".")
            let value = line[line.index(after: equals)...]
            switch (words.first, words.last) {
            case ("client", "suspended"):
                // Deeper keys belong to parts of the client, such as its sound.
                if words.count == 2 { suspended["0"] = value == "True" }
                if words.count == 3, Int(words[1]) != nil { suspended[String(words[1])] = value == "True" }
            case ("windows", "class-instance"):
                guard words.count == 3, Int(words[1]) != nil else { continue }
                windows[String(words[1])] = Self.lastWord(value)
            default: continue
            }
        }
    }

    /// Of `('mousepad', 'Mousepad')` the second word.
    private static func lastWord(_ tuple: Substring) -> String {
        let words = tuple.split { "()', \"".contains($0) }
        return words.last.map(String.init) ?? ""
    }

    /// All clients together: visible when one of them is.
    package var state: FarmFact.State {
        if suspended.isEmpty { return .disconnected }
        return suspended.values.allSatisfy { $0 } ? .hidden : .visible
    }
}

/// The `xpra` command: a program is started for every question, and none may take longer than `limit`.
package struct XpraControl: Sendable {
    /// From the start of a question to its answer.
    static let limit: Duration = .seconds(8)

    let path: String
    let time: any TimeSource

    package init(path: String, time: any TimeSource) { (self.path, self.time) = (path, time) }

    package struct Failure: Error, Sendable, CustomStringConvertible {
        package let description: String
    }

    package func status(of display: String) async throws -> XpraStatus {
        XpraStatus(lines: try await run(["info", display]))
    }

    /// Sends a server a command, such as `start` or `focus`.
    package func tell(_ display: String, _ words: [String]) async throws {
        _ = try await run(["control", display] + words)
    }

    private func run(_ words: [String]) async throws -> [String] {
        let command = ChildProgram.Command(
            path, words,
            environment: ["PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"])
        let output = try await ProgramRun.output(of: command, within: Self.limit, time: time)
        guard output.exit == .code(0) else {
            throw Failure(description: "xpra \(words[0]): \(output.exit): \(output.errors.last ?? "")")
        }
        return output.lines
    }
}
