/// Which requests share a connection, and which connections to have a look at. When a server says what is no HTTP/2,
/// libcurl 7.88 tells only the transfer that happened to read it, or none where that one had its answer before; the
/// others wait for bytes that have been read already, until their time is over or the server closes (`cf_h2_recv` and
/// `h2_process_pending_input` in lib/http2.c). Whoever is made to read once more finds the end. A connection goes by
/// its local port.
struct SharedConnections {
    private var ports: [UInt: Int] = [:]
    private var transfers: [Int: Set<UInt>] = [:]
    private var suspects: Set<Int> = []

    var isEmpty: Bool { ports.isEmpty }

    /// A request goes onto a connection. If it was on another before, libcurl has moved it since that one ended.
    mutating func begin(_ transfer: UInt, port: Int) {
        let former = ports[transfer]
        guard former != port else { return }
        if former != nil { failed(transfer) }
        end(transfer)
        ports[transfer] = port
        transfers[port, default: []].insert(transfer)
    }

    /// A request went wrong; others on its connection may not know.
    mutating func failed(_ transfer: UInt) {
        guard let port = ports[transfer], let sharing = transfers[port], sharing.count > 1 else { return }
        suspects.insert(port)
    }

    /// A request is over.
    mutating func end(_ transfer: UInt) {
        guard let port = ports.removeValue(forKey: transfer) else { return }
        transfers[port]?.remove(transfer)
        guard transfers[port]?.isEmpty == true else { return }
        transfers[port] = nil
        suspects.remove(port)
    }

    /// Every connection that requests are on is to be looked at.
    mutating func suspectAll() { suspects = Set(transfers.keys) }

    /// Takes a connection to look at; nil when there is none. Where the one who reads there fails, it comes once more
    /// for the next.
    mutating func nextSuspect() -> Int? { suspects.popFirst() }
}
