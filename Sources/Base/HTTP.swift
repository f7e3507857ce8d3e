/// Header fields in the order they were sent; names compare without case (RFC 9110 section 5.1).
package struct HTTPFields: Sendable, Hashable, ExpressibleByDictionaryLiteral {
    package struct Field: Sendable, Hashable {
        package let name: String
        package let value: String
    }
    package private(set) var fields: [Field] = []

    package init() {}
    package init(dictionaryLiteral elements: (String, String)...) {
        fields = elements.map { Field(name: $0.0, value: $0.1) }
    }

    /// The first value of a name; setting replaces all of them, nil removes them.
    package subscript(_ name: String) -> String? {
        get { fields.first { Self.same($0.name, name) }?.value }
        set {
            fields.removeAll { Self.same($0.name, name) }
            if let newValue { fields.append(Field(name: name, value: newValue)) }
        }
    }

    /// All values of a name, in the order they were sent.
    package func values(of name: String) -> [String] { fields.filter { Self.same($0.name, name) }.map(\.value) }

    /// Adds a field beside others of the same name.
    package mutating func append(_ name: String, _ value: String) {
        fields.append(Field(name: name, value: value))
    }

    private static func same(_ a: String, _ b: String) -> Bool {
        a.utf8.count == b.utf8.count
            && zip(a.utf8, b.utf8).allSatisfy { x, y in
                x == y || (x | 0x20 == y | 0x20 && (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(x | 0x20))
            }
    }
}

/// One request of ours to somebody's server.
package struct HTTPRequest: Sendable {
    /// Which HTTP version to speak.
    package enum Version: Sendable, Hashable {
        /// HTTP/2 where TLS negotiates it, else HTTP/1.1.
        case automatic
        /// HTTP/1.1 only.
        case http1
        /// HTTP/2 only, many requests on one connection; a server without it is an error.
        case http2
    }

    /// Which addresses may be connected to; checked on the resolved address, at connect.
    package enum Destination: Sendable, Hashable {
        /// Any: for servers the administrator named in the configuration.
        case any
        /// No loopback, private, link-local or otherwise special address, unless the URL's host is in
        /// the list: for URLs that users or devices gave us.
        case publicExcept(hosts: [String])
    }

    /// A client certificate and its key, in files that are read for each new connection.
    package struct ClientCertificate: Sendable, Hashable {
        /// How the certificate's file is written.
        package enum Format: String, Sendable, Hashable {
            case pem = "PEM"
            case pkcs12 = "P12"
        }

        package let file: String
        package let format: Format
        /// The key's PEM file; nil where the key is in `file`.
        package let keyFile: String?
        /// Opens the key or the PKCS#12 file.
        package let password: Secret?

        package init(file: String, format: Format = .pem, keyFile: String? = nil, password: Secret? = nil) {
            (self.file, self.format, self.keyFile, self.password) = (file, format, keyFile, password)
        }
    }

    /// A user's login by one of HTTP's own schemes. The first request without it is refused by the server and sent again
    /// with it, within the same call, except for `basic`.
    package struct Authentication: Sendable, Hashable {
        package enum Scheme: String, Sendable, Hashable, CaseIterable {
            /// RFC 7617: the password goes to the server; over TLS only.
            case basic
            /// RFC 7616.
            case digest
            /// MS-NLMP, over HTTP/1.1: it authenticates the connection and not the request.
            case ntlm
            /// RFC 4559 with Kerberos, over HTTP/1.1; the password counts for nothing, the process has a ticket.
            case negotiate
        }

        package let scheme: Scheme
        /// For NTLM with the domain in front: `EXAMPLE\anna`.
        package let user: String
        package let password: Secret

        package init(_ scheme: Scheme, user: String, password: Secret) {
            (self.scheme, self.user, self.password) = (scheme, user, password)
        }

        /// Whether a connection belongs to the user once it is authenticated: nobody else's requests may use it.
        package var isOfConnection: Bool { scheme == .ntlm || scheme == .negotiate }
    }

    package var method: String
    package var url: String
    package var headers: HTTPFields
    package var body: [UInt8]
    package var version: Version = .automatic
    /// From the call to the last byte of the answer.
    package var timeout: Duration = .seconds(30)
    /// Longer bodies fail with `responseTooLarge`.
    package var responseLimit = 1 << 20
    /// PEM file with the trusted roots; nil for the system's.
    package var caFile: String?
    /// What we show to a server that asks for a certificate.
    package var certificate: ClientCertificate?
    /// Connections that it authenticates are shared by requests with the same one only, whatever their pool.
    package var authentication: Authentication?
    package var destination: Destination = .any
    /// `address:port` to connect to instead of where the URL's host is; TLS still checks the URL's host. An IPv6
    /// address stands in brackets.
    package var connectTo: String?
    /// Requests of different pools never share a connection: one pool for each credential.
    package var pool = ""
    /// Redirects to follow, over HTTP/1.1 unless HTTP/2 is asked for; 0 hands the 3xx answer back.
    package var redirectLimit = 0
    /// A new connection carries this request alone until it has answered one of the pool with a status of 2xx: for
    /// services that allow a single stream before they have accepted the credential. With HTTP/2 only.
    package var provesConnections = false

    package init(_ method: String, _ url: String, headers: HTTPFields = [:], body: [UInt8] = []) {
        (self.method, self.url, self.headers, self.body) = (method, url, headers, body)
    }
}

/// Somebody's answer to a request.
package struct HTTPResponse: Sendable {
    package var status: Int
    package var headers: HTTPFields
    package var body: [UInt8]

    package init(status: Int, headers: HTTPFields = [:], body: [UInt8] = []) {
        (self.status, self.headers, self.body) = (status, headers, body)
    }

    /// A pause asked for beyond this counts as this.
    package static let longestRetryAfter: Duration = .seconds(30 * 86_400)

    /// The pause the server asks for: seconds, or a date (RFC 9110 section 10.2.3); nil without one.
    package func retryAfter(now: Timestamp) -> Duration? {
        guard let text = headers["Retry-After"] else { return nil }
        let pause =
            Int64(text.trimmingSpace).map { .seconds($0) } ?? HTTPDate.parse(text.trimmingSpace).map { $0 - now }
        return pause.map { min(max(.zero, $0), Self.longestRetryAfter) }
    }
}

/// Why a request got no answer.
package struct HTTPTransportError: Error, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable, CaseIterable {
        case nameResolution = "name_resolution"
        case connect
        case tls
        /// Our own certificate cannot be read or used, or the server refused it in the handshake.
        case clientCertificate = "client_certificate"
        case timeout
        case connectionLost = "connection_lost"
        case protocolError = "protocol_error"
        case responseTooLarge = "response_too_large"
        case addressRefused = "address_refused"
        case invalidRequest = "invalid_request"
        case overloaded
        case stopped
    }

    package let code: Code
    /// What the library said, without the URL.
    package let message: String
    /// Whether the server surely has not acted on the request (not connected, REFUSED_STREAM, a stream
    /// above GOAWAY's last). Otherwise the outcome is unknown and a repeat needs the same id.
    package let surelyNotProcessed: Bool

    package init(_ code: Code, _ message: String, surelyNotProcessed: Bool) {
        (self.code, self.message, self.surelyNotProcessed) = (code, message, surelyNotProcessed)
    }

    package var description: String { "\(code.rawValue): \(message)" }
}

/// Sends requests. The real one is `Outbound.HTTPClient`; tests answer from memory.
package protocol HTTPTransport: Sendable {
    /// Sends a request and returns the whole answer, of whatever status.
    /// - Throws: `HTTPTransportError`; `CancellationError` when the task is cancelled.
    func send(_ request: HTTPRequest) async throws -> HTTPResponse
    /// No connection of the pool serves a request sent from now on; those under way end where they are. For a
    /// connection whose server has refused the credential or gives no sensible answers.
    func retireConnections(ofPool name: String)
}

extension HTTPTransport {
    package func retireConnections(ofPool name: String) {}
}

/// An answer whose body is taken as it comes.
package protocol HTTPStream: Sendable {
    /// The answer's status and header fields; the body is empty.
    var head: HTTPResponse { get }
    /// The next bytes; nil when the body is complete.
    /// - Parameter deadline: until when to wait for them; the stream is of no use afterwards.
    /// - Throws: `HTTPTransportError`, with `timeout` at the deadline; `CancellationError`.
    func next(until deadline: Moment) async throws -> [UInt8]?
    /// Ends the transfer, if it has not ended. Idempotent; also when the last reference goes.
    func close()
}

/// Sends requests whose answers go on: event streams and hanging answers.
package protocol HTTPStreamTransport: HTTPTransport {
    /// Sends a request and returns when the answer's header is there; the request's `timeout` counts until then, and
    /// its `responseLimit` bounds the bytes that wait to be taken (more are not read from the connection).
    /// - Throws: `HTTPTransportError`; `CancellationError` when the task is cancelled.
    func open(_ request: HTTPRequest) async throws -> any HTTPStream
}

/// The date of HTTP headers (RFC 9110 section 5.6.7), in its preferred form only.
package enum HTTPDate {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// Reads `Sun, 06 Nov 1994 08:49:37 GMT`; nil for anything else.
    package static func parse(_ text: String) -> Timestamp? {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 6, parts[0].utf8.count == 4, parts[0].last == ",", parts[5] == "GMT",
            parts[4].utf8.count == 8, let month = months.firstIndex(of: String(parts[2]))
        else { return nil }
        let paddedMonth = month < 9 ? "0\(month + 1)" : "\(month + 1)"
        return Timestamp("\(parts[3])-\(paddedMonth)-\(parts[1])T\(parts[4])Z")
    }
}

// Header values and URLs carry credentials: printing a request or an answer shows none of them.

extension HTTPFields: CustomStringConvertible, CustomReflectable {
    package var description: String { "[" + fields.map(\.name).joined(separator: ", ") + "]" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

extension HTTPRequest: CustomStringConvertible, CustomReflectable {
    package var description: String { "\(method) \(headers), \(body.count) bytes" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

extension HTTPRequest.Authentication: CustomStringConvertible, CustomReflectable {
    package var description: String { scheme.rawValue }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

extension HTTPResponse: CustomStringConvertible, CustomReflectable {
    package var description: String { "\(status) \(headers), \(body.count) bytes" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
