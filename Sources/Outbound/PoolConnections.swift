/// The connections of one pool: libcurl's own, and those with HTTP/2 that it makes and nghttp2 speaks on.
final class PoolConnections {
    let multi: CurlMulti
    let http2: HTTP2Pool

    init(_ multi: CurlMulti, _ http2: HTTP2Pool) { (self.multi, self.http2) = (multi, http2) }

    /// Nothing is under way.
    var isIdle: Bool { http2.isIdle && multi.count == http2.handleCount }

    func shutDown() {
        http2.shutDown()
        multi.shutDown()
    }
}
