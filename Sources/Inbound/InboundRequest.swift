package import Base

/// One request of a client's, complete with its body. A copy of everything: it may outlive the connection.
package struct InboundRequest: Sendable {
    /// What does not change between the server and the handler, in one object so that copies are cheap.
    private final class Storage: Sendable {
        let method: String
        let target: RequestTarget
        let headers: RequestHeaders
        let body: [UInt8]
        let id: String
        let connection: Connection?

        init(
            method: String, target: RequestTarget, headers: RequestHeaders, body: [UInt8], id: String,
            connection: Connection?
        ) {
            (self.method, self.target, self.headers) = (method, target, headers)
            (self.body, self.id, self.connection) = (body, id, connection)
        }
    }

    private let storage: Storage
    /// The parts of the path that a route's `{name}` segments stand for; set by `Router`.
    package internal(set) var parameters = PathParameters()

    init(
        method: String, target: RequestTarget, headers: RequestHeaders, body: [UInt8], id: String,
        connection: Connection?
    ) {
        storage = Storage(
            method: method, target: target, headers: headers, body: body, id: id, connection: connection)
    }

    /// A request for tests of handlers, without a server.
    /// - Throws: `Problem` when `target` is malformed.
    package init(
        _ method: String, _ target: String, headers: HTTPFields = [:], body: [UInt8] = [], id: String = "test"
    ) throws {
        var block = RequestHeaders()
        for field in headers.fields { block.append(name: Array(field.name.utf8), value: Array(field.value.utf8)) }
        self.init(
            method: method, target: try RequestTarget(Array(target.utf8)), headers: block, body: body, id: id,
            connection: nil)
    }

    /// As sent; methods are case-sensitive (RFC 9110 section 9.1).
    package var method: String { storage.method }
    /// The path as sent, still percent-encoded.
    package var rawPath: String { storage.target.rawPath }
    /// The path between its slashes, decoded; empty for `/`.
    package var segments: [String] { storage.target.segments }
    /// The query's items, decoded, in their order.
    package var query: [QueryItem] { storage.target.query }
    /// The first query item of a name.
    package func query(_ name: String) -> String? { storage.target.query.first { $0.name == name }?.value }
    package var headers: RequestHeaders { storage.headers }
    package var body: [UInt8] { storage.body }
    /// The server's name for this request, also in the answer's `Farbell-Request-Id`.
    package var id: String { storage.id }
    /// The client's numeric address, without port.
    package var peerAddress: String { storage.connection?.peer ?? "" }
    /// Whether the connection is encrypted.
    package var isSecure: Bool { storage.connection?.isSecure ?? false }
    /// Whether the client has hung up. Worth asking before handing out something that must not get lost,
    /// after a long wait. One system call.
    package var isClientGone: Bool { storage.connection?.isClientGone ?? false }
}

/// The header fields of a request, kept as one block of bytes; text is made of what is asked for only.
package struct RequestHeaders: Sendable {
    private struct Field: Sendable {
        let name: Range<Int>
        let value: Range<Int>
    }
    private var block: [UInt8] = []
    private var index: [Field] = []

    init() {}

    mutating func reserve(bytes: Int, fields: Int) {
        block.reserveCapacity(bytes)
        index.reserveCapacity(fields)
    }

    mutating func append(name: some Collection<UInt8>, value: some Collection<UInt8>) {
        let start = block.count
        block.append(contentsOf: name)
        let middle = block.count
        block.append(contentsOf: value)
        index.append(Field(name: start..<middle, value: middle..<block.count))
    }

    /// How many fields there are.
    package var count: Int { index.count }

    /// The first value of a name, compared without case; bytes that are not UTF-8 are replaced.
    package subscript(_ name: String) -> String? {
        bytes(name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The bytes of the first value of a name, compared without case.
    package func bytes(_ name: String) -> ArraySlice<UInt8>? {
        index.first { matches($0.name, name) }.map { block[$0.value] }
    }

    /// All values of a name, in their order.
    package func values(of name: String) -> [String] {
        index.compactMap { matches($0.name, name) ? text($0.value) : nil }
    }

    private func text(_ range: Range<Int>) -> String { String(decoding: block[range], as: UTF8.self) }

    private func matches(_ range: Range<Int>, _ name: String) -> Bool {
        guard range.count == name.utf8.count else { return false }
        for (a, b) in zip(block[range], name.utf8) where a != b {
            guard a ^ b == 0x20, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(a | 0x20) else { return false }
        }
        return true
    }
}

/// The values of a route's `{name}` segments.
package struct PathParameters: Sendable, Hashable {
    private var names: [String] = []
    private var values: [String] = []

    package init() {}
    init(names: [String], values: [String]) { (self.names, self.values) = (names, values) }

    /// The decoded segment at `{name}`; nil when the route has no such segment.
    package subscript(_ name: String) -> String? {
        names.firstIndex(of: name).map { values[$0] }
    }
}
