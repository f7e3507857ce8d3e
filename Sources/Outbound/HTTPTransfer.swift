internal import Base
internal import CCurl

/// One request on its way: sets up the easy handle and collects the answer. Used on the loop's thread only.
@safe final class HTTPTransfer: CurlTransfer {
    /// All header lines of an answer together, in bytes.
    static let headerLimit = 256 << 10
    /// Bytes of a body from which libcurl must be told not to ask first. It asks above 1 MiB (`EXPECT_100_THRESHOLD` in
    /// lib/http.h); another version may begin a little earlier.
    private static let expectLimit = 1 << 19

    let order: HTTPOrder
    let profile: TransferProfile
    /// Where it runs.
    let multi: CurlMulti
    private let destination: DestinationGuard
    private let onCompletion: (HTTPTransfer, CURLcode) -> Void
    private let headerList = CurlList()
    private let connectList = CurlList()
    private var body: [UInt8] = []
    private var fields = HTTPFields()
    private var headerBytes = 0
    private var seen = HTTPFailure.Circumstances()
    /// How often libcurl has begun to send the request.
    private var attempts = 0
    private var hasSucceeded = false

    init(
        _ order: HTTPOrder, _ profile: TransferProfile, easy: CurlEasy, _ multi: CurlMulti,
        onCompletion: @escaping (HTTPTransfer, CURLcode) -> Void
    ) {
        (self.order, self.multi, self.profile) = (order, multi, profile)
        destination = DestinationGuard(order.request.destination, .http, easy: easy)
        self.onCompletion = onCompletion
        super.init(easy: easy)
    }

    override func completed(_ code: CURLcode) { onCompletion(self, code) }

    /// The answer or the error for the ended transfer.
    func outcome(_ code: CURLcode) -> Result<HTTPResponse, any Error> {
        guard code == CURLE_OK else { return .failure(failure(code)) }
        hasSucceeded = true
        return .success(HTTPResponse(status: easy.long(CURLINFO_RESPONSE_CODE), headers: fields, body: body))
    }

    /// Gives the handle back for another request with the same profile; nil where something went wrong, since
    /// libcurl keeps buffers then and counts the repeats of a handle.
    func releaseHandle() -> CurlEasy? {
        guard profile.isReusable, hasSucceeded, attempts == 1 else { return nil }
        // The list goes with this transfer.
        unsafe farbell_easy_set_pointer(easy.handle, CURLOPT_HTTPHEADER, nil)
        return easy
    }

    func failure(_ code: CURLcode) -> HTTPTransportError {
        seen.addressRefused = destination.hasRefused
        return HTTPFailure.error(code, seen)
    }

    // MARK: Setting up

    /// Sets every option that is not set already.
    /// - Parameters:
    ///   - left: what remains of the request's time.
    ///   - isPrepared: the handle has the options of the request's profile.
    /// - Throws: `CurlFailure`; `HTTPTransportError` for a request that cannot be sent.
    func prepare(_ configuration: HTTPClient.Configuration, left: Duration, isPrepared: Bool) throws {
        let request = order.request
        // Without this check libcurl would guess a scheme from the host's name.
        guard let scheme = URLScheme(request.url) else {
            throw HTTPTransportError(.invalidRequest, "the URL is none of http or https", surelyNotProcessed: true)
        }
        // libcurl 7.88 breaks the second request on an HTTP/2 connection without TLS.
        guard request.version != .http2 || scheme == .https else {
            throw HTTPTransportError(.invalidRequest, "HTTP/2 needs https", surelyNotProcessed: true)
        }
        if !isPrepared { try profile.set(on: easy, configuration) }
        try easy.set(CURLOPT_URL, request.url)
        if let place = request.connectTo { try connect(to: place) }
        // The time of an answer that goes on is the session's matter.
        try easy.set(
            CURLOPT_TIMEOUT_MS,
            Int(min(order.stream == nil ? max(1, left.milliseconds) : 0, HTTPClient.timeoutLimit.milliseconds)))
        try setMethod(request)
        try setHeaders(request)
        try setCallbacks()
    }

    private func setMethod(_ request: HTTPRequest) throws {
        guard !request.method.isEmpty, request.method.utf8.allSatisfy(HeaderBytes.isToken) else {
            throw HTTPTransportError(.invalidRequest, "the method is no token", surelyNotProcessed: true)
        }
        switch request.method {
        case "POST": try setBody(request.body)
        case "GET" where request.body.isEmpty: try easy.set(CURLOPT_HTTPGET, true)
        case "HEAD": try easy.set(CURLOPT_NOBODY, true)
        default:
            if !request.body.isEmpty || request.method == "PUT" || request.method == "PATCH" {
                try setBody(request.body)
            }
            try easy.set(CURLOPT_CUSTOMREQUEST, request.method)
        }
    }

    private func setBody(_ body: [UInt8]) throws {
        try easy.set(CURLOPT_POST, true)
        try easy.setSize(CURLOPT_POSTFIELDSIZE_LARGE, body.count)
        try unsafe body.withUnsafeBytes { bytes in
            // An empty array may have no address, and NULL would mean "ask the read callback".
            if let start = bytes.baseAddress, body.count > 0 {
                try unsafe easy.setPointer(CURLOPT_COPYPOSTFIELDS, start)
            } else {
                try easy.set(CURLOPT_COPYPOSTFIELDS, "")
            }
        }
    }

    /// Connects to `place` for whatever host and port the URL has.
    private func connect(to place: String) throws {
        try connectList.append("::\(place)")
        try unsafe easy.setPointer(CURLOPT_CONNECT_TO, connectList.start)
    }

    private func setHeaders(_ request: HTTPRequest) throws {
        // libcurl would add these two by itself, the first before large bodies.
        var (hasExpect, hasType) = (false, false)
        var line: [UInt8] = []
        line.reserveCapacity(512)
        for field in request.headers.fields {
            line.removeAll(keepingCapacity: true)
            guard HeaderBytes.append(field, to: &line) else {
                throw HTTPTransportError(
                    .invalidRequest, "a header field has forbidden characters", surelyNotProcessed: true)
            }
            try headerList.append(line)
            hasExpect = hasExpect || HeaderBytes.same(field.name, "expect")
            hasType = hasType || HeaderBytes.same(field.name, "content-type")
        }
        if !hasExpect, request.body.count > Self.expectLimit { try headerList.append(HeaderBytes.noExpect) }
        if !hasType { try headerList.append(HeaderBytes.noContentType) }
        try unsafe easy.setPointer(CURLOPT_HTTPHEADER, headerList.start)
    }

    // MARK: Callbacks

    private func setCallbacks() throws {
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        try destination.install()
        try CurlEasy.check(unsafe farbell_easy_set_before_request(easy.handle, Self.beforeRequest, context))
        try CurlEasy.check(
            unsafe farbell_easy_set_data_callback(easy.handle, CURLOPT_WRITEFUNCTION, Self.bodyArrived))
        try unsafe easy.setPointer(CURLOPT_WRITEDATA, context)
        try CurlEasy.check(
            unsafe farbell_easy_set_data_callback(easy.handle, CURLOPT_HEADERFUNCTION, Self.headerArrived))
        try unsafe easy.setPointer(CURLOPT_HEADERDATA, context)
    }

    @unsafe private static func transfer(_ context: UnsafeMutableRawPointer) -> HTTPTransfer {
        unsafe Unmanaged<HTTPTransfer>.fromOpaque(context).takeUnretainedValue()
    }

    private static let beforeRequest: curl_prereq_callback = { context, _, _, _, _ in
        guard let context = unsafe context else { return CURL_PREREQFUNC_ABORT }
        return unsafe transfer(context).begin() ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT
    }

    /// A connection is ready; false stops before the first byte of the request.
    private func begin() -> Bool {
        let needsNegotiation =
            order.request.version == .http2
            && (order.request.redirectLimit == 0
                || easy.string(CURLINFO_EFFECTIVE_URL).flatMap(URLScheme.init) == .https)
        if needsNegotiation, unsafe farbell_easy_negotiated_http2(easy.handle) == 0 {
            seen.http2Refused = true
            return false
        }
        attempts += 1
        seen.requestBegan = true
        return true
    }

    private static let bodyArrived: farbell_data_callback = { bytes, size, count, context in
        guard let context = unsafe context, let bytes = unsafe bytes else { return 0 }
        let chunk = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
        return unsafe transfer(context).bodyArrived(chunk)
    }

    /// What the callback returns to libcurl.
    @unsafe private func bodyArrived(_ chunk: UnsafeRawBufferPointer) -> Int {
        guard let stream = order.stream else { return unsafe appendBody(chunk) ? chunk.count : 0 }
        announceHead()
        return unsafe stream.take(chunk) ? chunk.count : Int(CURL_WRITEFUNC_PAUSE)
    }

    /// The header that has come is the answer's, for whoever takes its body as it comes.
    private func announceHead() {
        guard let stream = order.stream, !stream.hasHead else { return }
        stream.headArrived()
        order.answer.settle(.success(HTTPResponse(status: easy.long(CURLINFO_RESPONSE_CODE), headers: fields)))
    }

    /// A paused transfer goes on.
    func resume() { unsafe curl_easy_pause(easy.handle, CURLPAUSE_CONT) }

    /// Whether libcurl may follow this answer up with another request: its body tells then.
    private func isInterim(_ status: Int) -> Bool {
        status < 200 || (300...399).contains(status) && order.request.redirectLimit > 0
            || status == 401 && order.request.authentication != nil
    }

    @unsafe private func appendBody(_ chunk: UnsafeRawBufferPointer) -> Bool {
        guard body.count + chunk.count <= order.request.responseLimit else {
            seen.tooLarge = true
            return false
        }
        unsafe body.append(contentsOf: chunk)
        return true
    }

    private static let headerArrived: farbell_data_callback = { bytes, size, count, context in
        guard let context = unsafe context, let bytes = unsafe bytes else { return 0 }
        let line = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
        return unsafe transfer(context).appendHeader(line) ? size * count : 0
    }

    @unsafe private func appendHeader(_ line: UnsafeRawBufferPointer) -> Bool {
        headerBytes += line.count
        guard headerBytes <= Self.headerLimit else {
            seen.tooLarge = true
            return false
        }
        // Trailers come through here, too.
        if order.stream?.hasHead == true { return true }
        if unsafe line.starts(with: HeaderBytes.statusLine) {
            // A new status line: what came before belonged to an interim answer or a redirect.
            fields = HTTPFields()
            body = []
        } else if let field = unsafe HeaderBytes.field(line) {
            fields.append(field.name, field.value)
        } else if line.count <= 2, !isInterim(easy.long(CURLINFO_RESPONSE_CODE)) {
            announceHead()
        }
        return true
    }
}
