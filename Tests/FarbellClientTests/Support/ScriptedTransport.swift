import Base
import Foundation

@testable import FarbellClient

/// Answers requests from a script and keeps them.
final class ScriptedTransport: FarbellTransport {
    typealias Script = @Sendable (ScriptedRequest) async throws -> ScriptedAnswer

    private let script: Script
    private let seen = Locked<[ScriptedRequest]>([])

    init(_ script: @escaping Script) { self.script = script }

    /// What was asked so far.
    var requests: [ScriptedRequest] { seen.withLock { $0 } }
    func requests(_ line: String) -> [ScriptedRequest] { requests.filter { $0.line == line } }

    func open(_ request: TransportRequest) async throws -> any TransportAnswer {
        let request = seen.withLock { seen in
            let line = "\(request.method) \(request.url.path)"
            let asked = ScriptedRequest(
                line: line, query: request.url.query, headers: request.headers, body: request.body ?? Data(),
                silence: request.silence, number: seen.count { $0.line == line } + 1)
            seen.append(asked)
            return asked
        }
        return try await script(request)
    }
}

struct ScriptedRequest: Sendable {
    /// Method and path.
    let line: String
    let query: String?
    let headers: [String: String]
    let body: Data
    let silence: Duration
    /// Counts the requests with the same line, from 1.
    let number: Int

    var text: String { String(decoding: body, as: UTF8.self) }
    var json: JSON { (try? JSONParser.parse([UInt8](body))) ?? .null }
    /// The members of the body, in the order of their names.
    var members: [String] {
        (json.object?.members ?? []).map { "\($0.key)=\($0.value.serialized)" }.sorted()
    }
}

/// An answer that a script gives at once or piece by piece.
final class ScriptedAnswer: TransportAnswer {
    let status: Int
    private let headers: [String: String]
    private let body = AnswerBody(limit: nil)
    private let closed = Locked(false)

    /// - Parameter isOpen: more is to come.
    init(_ status: Int, _ text: String = "", headers: [String: String] = [:], isOpen: Bool = false) {
        (self.status, self.headers) = (status, headers)
        body.append(Array(text.utf8))
        if !isOpen { body.end(nil) }
    }

    static func events(_ text: String, isOpen: Bool = true) -> ScriptedAnswer {
        ScriptedAnswer(200, text, headers: ["content-type": "text/event-stream"], isOpen: isOpen)
    }

    static func problem(_ status: Int, _ code: String, headers: [String: String] = [:]) -> ScriptedAnswer {
        ScriptedAnswer(status, #"{"title":"No","detail":"not so","code":"\#(code)"}"#, headers: headers)
    }

    var isClosed: Bool { closed.withLock { $0 } }
    subscript(header: String) -> String? { headers[header.lowercased()] }
    func send(_ text: String) { body.append(Array(text.utf8)) }
    func end(_ error: (any Error)? = nil) { body.end(error) }

    func next() async throws -> [UInt8]? {
        try await withTaskCancellationHandler {
            try await body.next()
        } onCancel: {
            close()
        }
    }

    func close() {
        closed.withLock { $0 = true }
        body.drop()
    }
}

extension FarbellError {
    static let broken = FarbellError(.connectionFailed, "cut")
}
