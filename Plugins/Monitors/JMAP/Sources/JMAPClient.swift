internal import Base
internal import Gateway
internal import MonitorTools

/// An error that a method answered (RFC 8620 section 3.6.2).
struct JMAPMethodError: Error, Sendable, Hashable {
    let type: String
    /// Names of arguments the server did not like.
    let arguments: [String]

    /// What it means for the host.
    func failure(now: Moment) -> MonitorFailure {
        let text = "the server answered \(type.printable)"
        switch type {
        case "serverUnavailable", "serverFail", "serverPartialFail": return MonitorFailure(.network, text)
        case "rateLimit", "limit": return MonitorFailure(.throttled(until: now + MonitorHTTP.pause), text)
        case "accountNotFound", "accountNotSupportedByMethod": return MonitorFailure(.sourceGone, text)
        case "forbidden": return MonitorFailure(.authFailed, text)
        default: return MonitorFailure(.protocolViolation, text)
        }
    }
}

/// Asks one server on behalf of one user.
struct JMAPClient: Sendable {
    let http: MonitorHTTP
    let time: any TimeSource
    /// Of every request.
    let authorization: String

    private static let sessionRedirects = 5

    /// Fetches the session.
    /// - Throws: `MonitorFailure`, `CancellationError`.
    func session(at url: String) async throws -> JMAPSession {
        var call = MonitorHTTP.Call("GET", url)
        call.headers["Authorization"] = authorization
        call.redirects = Self.sessionRedirects
        return try JMAPSession(try await http.json(call), at: url)
    }

    /// One method to call: its name, arguments, and what the answer is found by.
    struct Method: Sendable {
        let name: String
        let arguments: JSONObject
        let id: String

        init(_ name: String, _ id: String, _ arguments: JSONObject) {
            (self.name, self.id, self.arguments) = (name, id, arguments)
        }
    }

    /// Calls methods in one request.
    /// - Returns: what each answered, by its id.
    /// - Throws: `MonitorFailure`, `CancellationError`.
    func call(_ methods: [Method], _ session: JMAPSession) async throws -> Answers {
        let calls = methods.map { method -> JSON in
            var arguments = method.arguments
            arguments.append("accountId", .string(session.account))
            return [.string(method.name), .object(arguments), .string(method.id)]
        }
        var call = MonitorHTTP.Call("POST", session.apiURL).carrying([
            "using": [.string(JMAPSession.core), .string(JMAPSession.mail)], "methodCalls": .array(calls),
        ])
        call.headers["Authorization"] = authorization
        let json = try await http.json(call)
        guard let responses = json["methodResponses"]?.array else {
            throw MonitorFailure(.protocolViolation, "the answer has no methodResponses")
        }
        return Answers(responses: responses, now: time.now)
    }

    /// What a request's methods answered.
    struct Answers: Sendable {
        let responses: [JSON]
        let now: Moment

        /// The arguments of one answer.
        /// - Throws: `JMAPMethodError`; `MonitorFailure` where there is none.
        func result(_ id: String) throws -> JSON {
            guard let response = responses.first(where: { $0[2]?.string == id }), let arguments = response[1] else {
                throw MonitorFailure(.protocolViolation, "the answer to a method is missing")
            }
            guard response[0]?.string != "error" else {
                throw JMAPMethodError(
                    type: arguments["type"]?.string ?? "an error without a type",
                    arguments: arguments["arguments"]?.array?.compactMap(\.string) ?? [])
            }
            return arguments
        }

        /// Like `result`, where every error is the host's.
        /// - Throws: `MonitorFailure`.
        func required(_ id: String) throws -> JSON {
            do {
                return try result(id)
            } catch let error as JMAPMethodError {
                throw error.failure(now: now)
            }
        }

        /// The `list` of a `get`.
        /// - Throws: `MonitorFailure`.
        func list(_ id: String) throws -> [JSON] {
            guard let list = try required(id)["list"]?.array else {
                throw MonitorFailure(.protocolViolation, "an answer has no list")
            }
            return list
        }

        /// The `state` of a `get`.
        /// - Throws: `MonitorFailure`.
        func state(_ id: String) throws -> String {
            let state = try required(id)["state"]?.string
            guard let state, state.utf8.count <= JMAPCursor.stateLimit else {
                throw MonitorFailure(.protocolViolation, "an answer has no state")
            }
            return state
        }
    }
}
