package import Base

/// A request a fake received.
package struct PeerRequest: Sendable {
    package var method: String
    /// The path with its query, as sent.
    package var path: String
    package var headers: HTTPFields
    package var body: [UInt8]
    /// When the last byte was there.
    package var received: Moment
    /// The connection's number, from 1.
    package var connection: Int
    /// The HTTP/2 stream; 0 for HTTP/1.1.
    package var stream: Int32
    /// The common name of the client's certificate, where it has shown one.
    package var clientName: String?
}

/// What a fake does about a request.
package struct PeerReply: Sendable {
    package enum Action: Sendable {
        case answer(status: Int, headers: HTTPFields, body: [UInt8])
        /// The header, and then whatever the stream is given (HTTP/1.1; over HTTP/2 the stream is reset).
        case stream(status: Int, headers: HTTPFields, PeerStream)
        /// REFUSED_STREAM over HTTP/2 (surely not processed); over HTTP/1.1 the connection is cut.
        case refuse
        /// The stream is reset with INTERNAL_ERROR; over HTTP/1.1 the connection is cut.
        case reset
        /// Never answered.
        case hang
        /// These bytes go onto the connection instead of anything sensible.
        case rawBytes([UInt8])
        /// The connection is cut.
        case drop
    }

    package var action: Action
    /// How long to wait before acting.
    package var delay: Duration = .zero
    /// What ends the delay before its time.
    package var wake: PeerWake?
    /// The body, or the end of an answer without one, comes after an empty DATA frame (HTTP/2).
    package var sendsEmptyData = false
    /// Sent as SETTINGS_MAX_CONCURRENT_STREAMS with the reply and enforced from then on (HTTP/2).
    package var streamLimit: Int?
    /// Like `streamLimit`, but only with the first reply of the connection that has it.
    package var provenStreamLimit: Int?
    /// After so many further streams, GOAWAY; with 0 this request's own stream is above GOAWAY's last
    /// stream id and never answered (HTTP/2). Over HTTP/1.1 any number means `Connection: close`.
    package var goAwayAfter: Int?
    /// The debug data of the GOAWAY.
    package var goAwayReason = #"{"reason":"Shutdown"}"#

    package init(_ action: Action) { self.action = action }

    package static func answer(_ status: Int, headers: HTTPFields = [:], body: [UInt8] = []) -> PeerReply {
        PeerReply(.answer(status: status, headers: headers, body: body))
    }
}

/// An HTTP server for fakes: HTTP/1.1 and HTTP/2, plain or over TLS, one thread.
package final class HTTPPeer: Sendable {
    /// Answers a request, on the server's thread. Must not keep the `HTTPPeer` alive.
    package typealias Responder = @Sendable (PeerRequest) -> PeerReply

    package struct Options: Sendable {
        /// HTTP/2 only, both, or HTTP/1.1 only.
        package var protocols = ["h2", "http/1.1"]
        /// Streams a new HTTP/2 connection may open at a time; more are refused.
        package var streamLimit = 1000
        /// RST_STREAM frames a client may send on an HTTP/2 connection, at once and then each second; one more ends
        /// the connection with GOAWAY. nghttp2's own limit is (1000, 33); nil for none.
        package var resetLimit: (burst: Int, perSecond: Int)?
        /// PEM file of the authority whose certificates clients may show; nil: none is asked for.
        package var clientAuthority: String?
        /// Streams at a time on a new connection whose client has shown a certificate; nil: `streamLimit`.
        package var certifiedStreamLimit: Int?
        /// Longer request bodies are cut there (the fakes' own limits are far below).
        package var bodyLimit = 1 << 20
        /// Wherever a fake takes the time from.
        package var time: any TimeSource = SystemTime()

        package init() {}
    }

    /// Counts of what happened on all connections.
    package struct Counts: Sendable {
        package var connections = 0
        package var requests = 0
        /// Streams opened above the limit.
        package var refusedForLimit = 0
        /// RST_STREAM frames from clients (HTTP/2).
        package var resets = 0
    }

    package let listener: PeerListener
    private let counter: Locked<Counts>

    /// - Parameters:
    ///   - identity: nil for plain text (HTTP/1.1 then).
    ///   - port: 0 for any free one.
    /// - Throws: `PeerError`.
    package init(
        name: String, identity: TestIdentity?, port: Int = 0, options: Options = Options(),
        responder: @escaping Responder
    ) throws {
        let context = try identity.map {
            try TLSServerContext($0, protocols: options.protocols, clientAuthority: options.clientAuthority)
        }
        let counter = Locked(Counts())
        self.counter = counter
        let http2Only = options.protocols == ["h2"]
        listener = try PeerListener(name: name, port: port, context: context) { connection in
            counter.withLock { $0.connections += 1 }
            return HTTPConnection(
                connection, http2Only: http2Only && identity != nil, options: options, counter: counter,
                responder: responder)
        }
    }

    package var port: Int { listener.port }
    package var counts: Counts { counter.withLock { $0 } }
    package func stop() { listener.stop() }
}

/// Chooses the protocol when the handshake is over.
private final class HTTPConnection: PeerHandler {
    private unowned let connection: PeerConnection
    private let http2Only: Bool
    private let options: HTTPPeer.Options
    private let counter: Locked<HTTPPeer.Counts>
    private let responder: HTTPPeer.Responder
    private var inner: (any PeerHandler)?

    init(
        _ connection: PeerConnection, http2Only: Bool, options: HTTPPeer.Options, counter: Locked<HTTPPeer.Counts>,
        responder: @escaping HTTPPeer.Responder
    ) {
        (self.connection, self.http2Only, self.options) = (connection, http2Only, options)
        (self.counter, self.responder) = (counter, responder)
    }

    func opened() {
        let chosen = connection.applicationProtocol
        if chosen == "h2" {
            inner = HTTP2Server(connection, options: options, counter: counter, responder: responder)
        } else if http2Only {
            // Apple's servers speak nothing else.
            connection.abort()
        } else {
            inner = HTTP1Server(connection, options: options, counter: counter, responder: responder)
        }
        inner?.opened()
    }

    func received(_ bytes: [UInt8]) { inner?.received(bytes) }

    func closed() {
        inner?.closed()
        inner = nil
    }
}
