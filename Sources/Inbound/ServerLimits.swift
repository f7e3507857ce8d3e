/// What the server allows a client to take of it. Every bound has its name here.
package struct ServerLimits: Sendable, Hashable {
    /// Bytes of a request's body; more is answered with 413.
    package var bodyBytes = 1 << 20
    /// Bytes of a refused body that are read and thrown away, so that the client sees the 413; a client
    /// that sends still more is disconnected.
    package var discardedBytes = 8 << 20
    /// Memory of one connection, in bytes (1,024...1,048,576): request line, headers and what is made of
    /// them must fit, else the answer is 431: about half of it for one long field. Every open connection has
    /// this much reserved, and every stream over TLS.
    package var connectionBytes = 12 << 10
    /// Connections at one time, over TLS with the streams. More wait in the listen backlog.
    package var connections = 18_000
    /// Connections at one time from one address; 0 for no limit (behind a proxy all have one address).
    package var connectionsPerAddress = 0
    /// Connections the kernel may keep until we accept them.
    package var backlog = 4096
    /// How long a connection may be silent between and during requests. Whole seconds, at least 1.
    package var idleTimeout = Duration.seconds(75)
    /// From accepting a connection to the end of its first request's headers, however the bytes drip.
    package var headerTimeout = Duration.seconds(20)
    /// From the end of the headers to the end of the body, however the bytes drip.
    package var bodyTimeout = Duration.seconds(60)
    /// Requests handed to tasks or to responders and not yet answered, waiting ones included; more get 503.
    package var pendingRequests = 10_000
    /// `Retry-After` of that 503.
    package var retryAfter = Duration.seconds(1)
    /// Event streams open at one time, each with a descriptor of its own; more get 503.
    package var streams = 16_000
    /// How long a shutdown waits for running requests and for streams to take their last bytes.
    package var drainTimeout = Duration.seconds(5)
    /// What each stream may take.
    package var stream = StreamLimits()

    package init() {}
}

/// What one event stream may take.
package struct StreamLimits: Sendable, Hashable {
    /// Bytes that may wait for the client; above, the stream is dropped (`CloseReason.overflow`). As long as half of it
    /// is free, one event more is taken, however large.
    package var bufferedBytes = 256 << 10
    /// Bytes the kernel may keep for the client (SO_SNDBUF), so that a slow reader shows soon.
    package var socketBufferBytes = 64 << 10
    /// While data waits, the client must take some within this time (`CloseReason.stalled`). Twice
    /// as long sent bytes may stay unacknowledged (TCP_USER_TIMEOUT): the end of a peer that fell silent.
    package var stallTimeout = Duration.seconds(20)
    /// A comment is sent when the stream was quiet for this long, to keep proxies from closing it.
    package var pingInterval = Duration.seconds(15)
    /// How often the one timer looks at all streams and connections.
    package var tick = Duration.seconds(1)
    /// The shortest `retry` told at a shutdown; streams are spread over this much and twice this much, so
    /// that not all come back at once.
    package var shutdownRetry = Duration.seconds(2)

    package init() {}
}

/// How a server is set up.
package struct ServerConfiguration: Sendable {
    /// A numeric IPv4 or IPv6 address to listen on; `::` accepts IPv4 too.
    package var address: String
    /// The port to listen on; 0 for any free one (see `Server.port`).
    package var port: UInt16
    /// Certificate and key for HTTPS; nil for plain HTTP.
    package var tls: TLSFiles?
    package var limits: ServerLimits
    /// Threads that read requests and write answers; nil for one a core, at least 2.
    package var threads: Int?
    /// Makes the id of a request: short and without a meaning.
    package var makeRequestID: @Sendable () -> String

    package init(
        address: String = "127.0.0.1", port: UInt16 = 0, tls: TLSFiles? = nil, limits: ServerLimits = ServerLimits(),
        threads: Int? = nil, makeRequestID: @escaping @Sendable () -> String = RequestIDs().makeGenerator()
    ) {
        (self.address, self.port, self.tls, self.limits) = (address, port, tls, limits)
        (self.threads, self.makeRequestID) = (threads, makeRequestID)
    }
}

/// PEM files for HTTPS.
package struct TLSFiles: Sendable, Hashable {
    /// The server's certificate, followed by its chain.
    package var certificate: String
    /// The private key of the certificate, without a passphrase.
    package var key: String

    package init(certificate: String, key: String) { (self.certificate, self.key) = (certificate, key) }
}
