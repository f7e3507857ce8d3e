internal import Base
internal import Gateway
internal import MonitorTools

/// Keeps an event stream open (RFC 8620 section 7.3) and wakes who waits for news. It never fails: what is wrong with
/// the server is found by asking it, and whoever is woken asks.
final class JMAPListener: Sendable {
    /// Between the server's signs of life.
    static let ping: Duration = .seconds(60)
    /// Silence for so long: the connection is dead.
    static let patience: Duration = .seconds(150)
    private static let openTimeout: Duration = .seconds(30)
    /// Bytes that wait to be read.
    private static let bufferLimit = 65_536
    /// Pauses between two attempts.
    private static let pauses: (first: Duration, longest: Duration) = (.seconds(1), .seconds(300))

    private let account: String
    private let request: HTTPRequest
    private let transport: any HTTPStreamTransport
    private let time: any TimeSource
    private let live = Locked(false)

    /// Nil where the server does not push.
    init?(_ session: JMAPSession, _ client: JMAPClient, _ transport: any HTTPStreamTransport, time: any TimeSource) {
        guard let url = session.eventSource(ping: Self.ping) else { return nil }
        var call = MonitorHTTP.Call("GET", url)
        call.headers = ["Accept": "text/event-stream", "Authorization": client.authorization]
        var request = client.http.request(call)
        (request.timeout, request.responseLimit) = (Self.openTimeout, Self.bufferLimit)
        (self.request, self.account) = (request, session.account)
        (self.transport, self.time) = (transport, time)
    }

    /// Whether the stream is open now.
    var isLive: Bool { live.withLock { $0 } }

    /// Listens until cancelled, or until the server says that it does not push at all.
    /// - Throws: `CancellationError`.
    func run(wake: @Sendable () -> Void, heard: @Sendable () -> Void) async throws {
        var failures = 0
        while true {
            switch try await listen(wake, heard) {
            case .never: return
            case .ended(let wasOpen):
                // Something may have come in between.
                wake()
                failures = wasOpen ? 0 : failures + 1
                let bound = min(Self.pauses.longest, Self.pauses.first * Double(1 << min(failures, 9)))
                try await time.sleep(for: bound * Double.random(in: 0.5...1))
            }
        }
    }

    private enum End {
        /// The server does not push, such as Cyrus without WebSocket: 204.
        case never
        case ended(wasOpen: Bool)
    }

    private func listen(_ wake: () -> Void, _ heard: () -> Void) async throws -> End {
        let stream: any HTTPStream
        do {
            stream = try await transport.open(request)
        } catch is HTTPTransportError {
            return .ended(wasOpen: false)
        }
        defer {
            stream.close()
            live.withLock { $0 = false }
        }
        let type = stream.head.headers["Content-Type"]?.lowercased() ?? ""
        guard stream.head.status == 200, type.hasPrefix("text/event-stream") else {
            return [204, 404, 405, 501].contains(stream.head.status) ? .never : .ended(wasOpen: false)
        }
        live.withLock { $0 = true }
        // Between the last question and now something may have come.
        wake()
        var events = ServerEvents()
        do {
            while let bytes = try await stream.next(until: time.now + Self.patience) {
                heard()
                if try events.take(bytes).contains(where: tells) { wake() }
            }
        } catch is HTTPTransportError {
            return .ended(wasOpen: true)
        } catch is ServerEvents.TooLong {
            return .ended(wasOpen: true)
        }
        return .ended(wasOpen: true)
    }

    /// Whether an event may mean that mail has changed: a `StateChange` (section 7.1) that names our account, or one
    /// that we cannot read.
    private func tells(_ event: ServerEvents.Event) -> Bool {
        guard event.name == "state" || event.name == "message" else { return false }
        guard let changed = (try? JSONParser.parse(Array(event.data.utf8)))?["changed"]?.object else { return true }
        return changed[account]?["Email"] != nil
    }
}
