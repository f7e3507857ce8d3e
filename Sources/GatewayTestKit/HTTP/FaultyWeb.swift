package import Base

/// Somebody's web server in memory, on the clock of the test: it can be away, silent, busy, or talk nonsense.
package final class FaultyWeb: HTTPTransport {
    /// Answers one good request.
    package typealias Answer = @Sendable (HTTPRequest) -> HTTPResponse

    private struct State {
        var isRunning = true
        var isSilent = false
        var talksNonsense = false
        var busyUntil: Timestamp?
        var requests = 0
    }

    private let state = Locked(State())
    private let time: any TimeSource
    private let answer: Answer
    private let nonsense: [UInt8]

    /// - Parameter nonsense: the body of answers of no sense.
    package init(
        time: any TimeSource, nonsense: [UInt8] = Array("<html>\u{0}oops".utf8), _ answer: @escaping Answer
    ) {
        (self.time, self.answer, self.nonsense) = (time, answer, nonsense)
    }

    /// Requests that reached the server, answered or not.
    package var requests: Int { state.withLock { $0.requests } }

    package func setRunning(_ running: Bool) { state.withLock { $0.isRunning = running } }
    /// Requests are taken and not answered.
    package func setSilent(_ silent: Bool) { state.withLock { $0.isSilent = silent } }
    package func setNonsense(_ nonsense: Bool) { state.withLock { $0.talksNonsense = nonsense } }
    /// From now on for so many seconds, every request is answered with 429 and `Retry-After`.
    package func throttle(seconds: Int) {
        let end = time.timestamp + .seconds(seconds)
        state.withLock { $0.busyUntil = end }
    }

    package func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        let now = time.timestamp
        let seen = state.withLock { state in
            if state.isRunning { state.requests += 1 }
            return state
        }
        guard seen.isRunning else {
            throw HTTPTransportError(.connect, "nobody listens", surelyNotProcessed: true)
        }
        if seen.isSilent {
            try await time.sleep(for: request.timeout)
            throw HTTPTransportError(.timeout, "no answer in time", surelyNotProcessed: false)
        }
        if let end = seen.busyUntil, end > now {
            return HTTPResponse(status: 429, headers: ["Retry-After": "\((end - now).wholeSeconds)"])
        }
        if seen.talksNonsense { return HTTPResponse(status: 200, body: nonsense) }
        return answer(request)
    }
}
