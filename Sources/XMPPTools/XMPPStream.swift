package import Base
package import Outbound

/// Where a server is, and how its bytes are protected.
package struct XMPPServer: Sendable, Hashable {
    package var host: String
    package var port: Int
    /// TLS from the first byte (XEP-0368); else none at all.
    package var isEncrypted: Bool
    /// PEM file with the trusted roots; nil for the system's.
    package var caFile: String?
    /// From the call to the end of the TLS handshake.
    package var timeout: Duration

    package init(host: String, port: Int, isEncrypted: Bool, caFile: String? = nil, timeout: Duration = .seconds(30)) {
        (self.host, self.port, self.isEncrypted) = (host, port, isEncrypted)
        (self.caFile, self.timeout) = (caFile, timeout)
    }
}

/// Why a connection could not be made.
package struct XMPPConnectionFailure: Error, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// A connection to an XMPP server, as bytes.
package protocol XMPPStream: Sendable {
    /// Hands bytes over, in order.
    /// - Throws: when the connection is gone.
    func send(_ bytes: [UInt8]) async throws
    /// Returns the next bytes; empty when the server closed, nil when nothing came before the deadline. One call at a
    /// time. When the task is cancelled it throws `CancellationError` and has taken no bytes.
    func receive(until deadline: Moment) async throws -> [UInt8]?
    /// Closes the connection.
    func close()
}

/// Opens connections.
package protocol XMPPConnector: Sendable {
    /// - Throws: `XMPPConnectionFailure`; `CancellationError`.
    func connect(_ server: XMPPServer) async throws -> any XMPPStream
}

/// Connects through the daemon's own client (libcurl).
package struct OutboundXMPPConnector: XMPPConnector {
    private let client: HTTPClient

    package init(client: HTTPClient) { self.client = client }

    package func connect(_ server: XMPPServer) async throws -> any XMPPStream {
        var request = MailConnectionRequest(
            .raw, host: server.host, port: server.port, security: server.isEncrypted ? .implicitTLS : .none,
            login: .none)
        request.caFile = server.caFile
        request.timeout = server.timeout
        do {
            return OutboundXMPPStream(connection: try await client.connectMail(request))
        } catch let error as MailConnectionError {
            throw XMPPConnectionFailure("\(error)".printable)
        }
    }
}

private struct OutboundXMPPStream: XMPPStream {
    let connection: MailConnection

    func send(_ bytes: [UInt8]) async throws { try await connection.send(bytes) }
    func receive(until deadline: Moment) async throws -> [UInt8]? { try await connection.receive(until: deadline) }
    func close() { connection.close() }
}

/// Stands in where the daemon gave no client, as in `farbell check`.
package struct MissingXMPPConnector: XMPPConnector {
    package init() {}

    package func connect(_ server: XMPPServer) async throws -> any XMPPStream {
        throw XMPPConnectionFailure("no client is available")
    }
}
