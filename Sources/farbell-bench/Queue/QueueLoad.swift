internal import Base
internal import GatewayTestKit

/// A run of the load client `farbell-load`, which is a program of its own.
struct QueueLoad: Sendable {
    /// What the client measured.
    let json: JSON
    /// Processor time of the server during the run: 1 is a core.
    let server: Double

    func number(_ name: String) -> Double { json[name]?.number ?? .nan }
    var total: Int { Int(number("total")) }
    var client: Double { number("clientShare") }

    /// Messages a second, within the client's window.
    var rate: QueueFigure {
        let seconds = number("seconds")
        return QueueFigure(
            value: seconds > 0 ? number("messages") / seconds : 0, client: client, server: server, p50: number("p50"),
            p99: number("p99"))
    }

    func time(_ name: String) -> QueueFigure {
        QueueFigure(value: number(name), client: client, server: server, p50: nil, p99: nil)
    }

    /// - Parameters:
    ///   - mode: `put`, `take`, `handoff`, `drain`, `first`, `ready`.
    ///   - bodyBytes: of each message.
    /// - Throws: `BenchError` when the client failed or the server ended.
    static func run(
        _ server: QueueServer, _ mode: String, _ arguments: [String], bodyBytes: Int = 512,
        deadline: Duration = .seconds(600)
    ) async throws -> QueueLoad {
        let time = SystemTime()
        let (before, begin) = (try server.processorTime(), time.now)
        var words = [server.peer.language, mode, "--port", "\(server.place.port)", "--body", "\(bodyBytes)"]
        if server.peer == .farbell {
            words += ["--app", QueuePlace.app, "--secret-file", server.place.keyFile]
        }
        let result = try await ChildProcess.run(try BenchPaths.load(), words + arguments, deadline: deadline)
        guard result.exit == .code(0), let line = result.output.last, let json = try? JSONParser.parse(line) else {
            let words = result.errors.joined(separator: " ")
            throw BenchError("\(server.peer.rawValue), \(mode): \(words); the server: \(server.lastWords)")
        }
        let used = try server.processorTime() - before
        return QueueLoad(json: json, server: used.inSeconds / (time.now - begin).inSeconds)
    }
}
