internal import Base
internal import CCurl

/// A connection that libcurl makes, through proxies and TLS, and on which it then sends nothing by itself.
final class HTTP2Dial: CurlTransfer {
    /// What the first look at the connection gave.
    enum Greeting {
        /// So many bytes, perhaps none, are in the buffer.
        case bytes(Int)
        case failed(CURLcode)
    }

    private let destination: DestinationGuard
    private let places = CurlList()
    private let onCompletion: (HTTP2Dial, CURLcode) -> Void

    /// - Throws: `CurlFailure`.
    init(
        _ request: HTTPRequest, _ configuration: HTTPClient.Configuration,
        onCompletion: @escaping (HTTP2Dial, CURLcode) -> Void
    ) throws {
        let easy = try CurlEasy()
        destination = DestinationGuard(request.destination, .http, easy: easy)
        self.onCompletion = onCompletion
        super.init(easy: easy)
        try TransferProfile(request, isStream: false).set(on: easy, configuration)
        try easy.set(CURLOPT_URL, request.url)
        if let place = request.connectTo {
            try places.append("::\(place)")
            try unsafe easy.setPointer(CURLOPT_CONNECT_TO, places.start)
        }
        try easy.set(CURLOPT_CONNECT_ONLY, 1)
        try CurlEasy.check(unsafe farbell_easy_offer_http2(easy.handle))
        try destination.install()
    }

    override func completed(_ code: CURLcode) { onCompletion(self, code) }

    /// Ties the connection to the handle, of which libcurl lets go once it is made: until the first read or write it
    /// knows nothing of its TLS, and it would count as idle.
    func claim(_ buffer: HTTP2Buffer) -> Greeting {
        var count = 0
        switch unsafe curl_easy_recv(easy.handle, buffer.bytes.baseAddress, buffer.bytes.count, &count) {
        case CURLE_OK where count > 0: return .bytes(count)
        case CURLE_AGAIN: return .bytes(0)
        case CURLE_OK: return .failed(CURLE_RECV_ERROR)
        case let code: return .failed(code)
        }
    }

    func failure(_ code: CURLcode) -> HTTPTransportError {
        var seen = HTTPFailure.Circumstances()
        seen.addressRefused = destination.hasRefused
        return HTTPFailure.error(code, seen)
    }
}
