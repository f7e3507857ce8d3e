internal import Base
internal import CCurl

/// One request on its way: sets up the easy handle and collects the answer. Used on the loop's thread only.
@safe final class HTTPTransfer: CurlTransfer {
    /// All header lines of an answer together, in bytes.
    static let headerLimit = 256 << 10

    let order: HTTPOrder
    private let destination: DestinationGuard
    private let onCompletion: (HTTPTransfer, CURLcode) -> Void
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private var connectList: UnsafeMutablePointer<curl_slist>?
    private var body: [UInt8] = []
    private var fields = HTTPFields()
    private var headerBytes = 0
    private var seen = HTTPFailure.Circumstances()

    init(_ order: HTTPOrder, easy: CurlEasy, onCompletion: @escaping (HTTPTransfer, CURLcode) -> Void) {
        self.order = order
        destination = DestinationGuard(order.request.destination, .http, easy: easy)
        self.onCompletion = onCompletion
        super.init(easy: easy)
    }

    deinit {
        unsafe curl_slist_free_all(headerList)
        unsafe curl_slist_free_all(connectList)
    }

    override func completed(_ code: CURLcode) { onCompletion(self, code) }

    /// The answer or the error for the ended transfer.
    func outcome(_ code: CURLcode) -> Result<HTTPResponse, any Error> {
        guard code == CURLE_OK else { return .failure(failure(code)) }
        return .success(HTTPResponse(status: easy.long(CURLINFO_RESPONSE_CODE), headers: fields, body: body))
    }

    func failure(_ code: CURLcode) -> HTTPTransportError {
        seen.addressRefused = destination.hasRefused
        return HTTPFailure.error(code, seen)
    }

    // MARK: Setting up

    /// Sets every option.
    /// - Parameter left: what remains of the request's time.
    /// - Throws: `CurlFailure`; `HTTPTransportError` for a request that cannot be sent.
    func prepare(_ configuration: HTTPClient.Configuration, left: Duration) throws {
        let request = order.request
        // Without this check libcurl would guess a scheme from the host's name.
        guard let scheme = CurlEasy.scheme(of: request.url), scheme == "http" || scheme == "https" else {
            throw HTTPTransportError(.invalidRequest, "the URL is none of http or https", surelyNotProcessed: true)
        }
        try easy.set(CURLOPT_PROTOCOLS_STR, "http,https")
        try easy.set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https")
        try easy.set(CURLOPT_URL, request.url)
        if let place = request.connectTo { try connect(to: place) }
        try easy.set(CURLOPT_DISALLOW_USERNAME_IN_URL, true)
        try easy.set(CURLOPT_USERAGENT, configuration.userAgent)
        try easy.set(CURLOPT_FOLLOWLOCATION, request.redirectLimit > 0)
        try easy.set(CURLOPT_MAXREDIRS, request.redirectLimit)
        // The length that the answer to HEAD declares is not the length of its body.
        if request.method != "HEAD" { try easy.setSize(CURLOPT_MAXFILESIZE_LARGE, max(1, request.responseLimit)) }
        try easy.set(CURLOPT_TIMEOUT_MS, Int(min(max(1, left.milliseconds), HTTPClient.timeoutLimit.milliseconds)))
        try easy.set(CURLOPT_CONNECTTIMEOUT_MS, Int(configuration.connectTimeout.milliseconds))
        try easy.set(CURLOPT_PROXY, request.destination == .any ? configuration.proxy ?? "" : "")
        try easy.setConnectionDefaults(caFile: request.caFile, .http)
        try easy.set(CURLOPT_MAXAGE_CONN, Int(HTTPClient.idleConnectionAge.wholeSeconds))
        try easy.set(CURLOPT_MAXLIFETIME_CONN, Int(HTTPClient.connectionLifetime.wholeSeconds))
        if let certificate = request.certificateFile {
            try easy.set(CURLOPT_SSLCERT, certificate)
            try easy.set(CURLOPT_SSLKEY, certificate)
        }
        try setVersion(request.version, scheme: scheme)
        try setMethod(request)
        try setHeaders(request)
        try setCallbacks()
    }

    private func setVersion(_ wanted: HTTPRequest.Version, scheme: String) throws {
        // libcurl 7.88 breaks the second request on an HTTP/2 connection without TLS.
        guard wanted != .http2 || scheme == "https" else {
            throw HTTPTransportError(.invalidRequest, "HTTP/2 needs https", surelyNotProcessed: true)
        }
        let version =
            switch wanted {
            case .automatic: CURL_HTTP_VERSION_2TLS
            case .http1: CURL_HTTP_VERSION_1_1
            case .http2: CURL_HTTP_VERSION_2TLS
            }
        try easy.set(CURLOPT_HTTP_VERSION, Int(version))
        // Rather wait for a connection that is being made than open one for each of a burst.
        try easy.set(CURLOPT_PIPEWAIT, wanted != .http1)
    }

    private func setMethod(_ request: HTTPRequest) throws {
        guard !request.method.isEmpty, request.method.utf8.allSatisfy(Self.isTokenByte) else {
            throw HTTPTransportError(.invalidRequest, "the method is no token", surelyNotProcessed: true)
        }
        switch request.method {
        case "GET" where request.body.isEmpty: try easy.set(CURLOPT_HTTPGET, true)
        case "HEAD": try easy.set(CURLOPT_NOBODY, true)
        case "POST": try setBody(request.body)
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
        guard let list = unsafe curl_slist_append(connectList, "::\(place)") else {
            throw CurlFailure(code: CURLE_OUT_OF_MEMORY)
        }
        unsafe connectList = list
        try unsafe easy.setPointer(CURLOPT_CONNECT_TO, connectList)
    }

    private func setHeaders(_ request: HTTPRequest) throws {
        // libcurl would add these two by itself.
        if request.headers["Expect"] == nil { try appendHeader("Expect:") }
        if request.headers["Content-Type"] == nil { try appendHeader("Content-Type:") }
        for field in request.headers.fields {
            guard !field.name.isEmpty, field.name.utf8.allSatisfy(Self.isTokenByte),
                field.value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 })
            else {
                throw HTTPTransportError(
                    .invalidRequest, "a header field has forbidden characters", surelyNotProcessed: true)
            }
            try appendHeader(field.value.isEmpty ? "\(field.name);" : "\(field.name): \(field.value)")
        }
        try unsafe easy.setPointer(CURLOPT_HTTPHEADER, headerList)
    }

    private func appendHeader(_ line: String) throws {
        guard let longer = unsafe curl_slist_append(headerList, line) else {
            throw CurlFailure(code: CURLE_OUT_OF_MEMORY)
        }
        unsafe headerList = longer
    }

    /// RFC 9110 section 5.6.2.
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
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
            && easy.string(CURLINFO_EFFECTIVE_URL).flatMap(CurlEasy.scheme) == "https"
        if needsNegotiation, unsafe farbell_easy_negotiated_http2(easy.handle) == 0 {
            seen.http2Refused = true
            return false
        }
        seen.requestBegan = true
        return true
    }

    private static let bodyArrived: farbell_data_callback = { bytes, size, count, context in
        guard let context = unsafe context, let bytes = unsafe bytes else { return 0 }
        let chunk = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
        return unsafe transfer(context).appendBody(chunk) ? size * count : 0
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
        let text = unsafe String(decoding: line, as: UTF8.self)
        if text.hasPrefix("HTTP/") {
            // A new status line: what came before belonged to an interim answer or a redirect.
            fields = HTTPFields()
            body = []
        } else if let colon = text.firstIndex(of: ":"), text.first != " ", text.first != "\t" {
            fields.append(String(text[..<colon]), String(text[text.index(after: colon)...]).trimmingSpace)
        }
        return true
    }
}
