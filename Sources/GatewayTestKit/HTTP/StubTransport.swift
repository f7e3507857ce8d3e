package import Base

/// The in-memory transport: answers from a closure and keeps what was asked.
package final class StubTransport: HTTPTransport {
    /// Gets the request and its number, counted from 1.
    package typealias Answer = @Sendable (HTTPRequest, _ number: Int) async throws -> HTTPResponse

    private let answer: Answer
    /// Every request, in the order they came.
    package let requests = Recorder<HTTPRequest>()
    private let number = Locked(0)

    package init(_ answer: @escaping Answer) { self.answer = answer }

    package func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        requests.append(request)
        let number = number.withLock { number in
            number += 1
            return number
        }
        return try await answer(request, number)
    }
}

/// For code that must not connect: every request fails.
package struct NoTransport: HTTPTransport {
    package init() {}

    package func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        throw HTTPTransportError(.connect, "there is no network in this test", surelyNotProcessed: true)
    }
}
