/// Which connections of a pool may carry more than one request: those that have had a good answer. Apple allows a
/// single stream on a connection until then (`HTTPRequest.provesConnections`), and libcurl replaces connections
/// by itself, so only here is it known that one is new. A connection goes by its local port.
struct ConnectionProof {
    /// Proven connections remembered; a pool has a few, and a forgotten one is proven once more.
    static let kept = 64

    private var proven: [Int] = []
    /// The request that proves a connection, by port.
    private var probers: [Int: UInt64] = [:]
    /// Taken off the wire before their first byte.
    private(set) var parked: [UInt64] = []

    /// Whether a request may go onto a connection; otherwise it is parked.
    mutating func begin(_ id: UInt64, port: Int) -> Bool {
        if probers.isEmpty, proven.last == port { return true }
        // On another connection than before: libcurl has moved it.
        for (other, prober) in probers where prober == id && other != port { probers[other] = nil }
        if proven.contains(port) { return true }
        if let prober = probers[port], prober != id {
            parked.append(id)
            return false
        }
        probers[port] = id
        return true
    }

    /// A request is over.
    /// - Parameter isProof: its answer was a good one.
    /// - Returns: the requests to start now.
    mutating func finished(_ id: UInt64, isProof: Bool) -> [UInt64] {
        guard !probers.isEmpty, let port = probers.first(where: { $0.value == id })?.key else { return [] }
        probers[port] = nil
        if isProof {
            proven.append(port)
            if proven.count > Self.kept { proven.removeFirst() }
            defer { parked = [] }
            return parked
        }
        return parked.isEmpty ? [] : [parked.removeFirst()]
    }

    /// Nobody wants the answer of a parked request any more.
    mutating func cancel(_ id: UInt64) { parked.removeAll { $0 == id } }
}
