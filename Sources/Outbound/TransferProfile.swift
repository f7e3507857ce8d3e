internal import Base
internal import CCurl

/// What thousands of requests have in common: the options of a handle that need not be set for each of them.
struct TransferProfile: Hashable {
    /// Bodies that need no more than libcurl's smallest buffers; it takes 80 kB for every request else.
    private static let smallSize = 16_384

    /// Requests that a login takes beside the first: NTLM's challenge and its answer, and one to spare.
    private static let loginRepeats = 3
    /// There may be thousands, and each hardly ever brings much at once.
    private static let streamBuffer = 4096

    private let isSmall: Bool
    private let method: String
    private let authentication: HTTPRequest.Authentication?
    private let isHTTP2: Bool
    private let responseLimit: Int
    private let redirectLimit: Int
    private let usesProxy: Bool
    private let isStream: Bool
    private let connectsElsewhere: Bool
    private let caFile: String?
    private let certificate: HTTPRequest.ClientCertificate?

    init(_ request: HTTPRequest, isStream: Bool) {
        self.isStream = isStream
        isSmall = request.responseLimit <= Self.smallSize && request.body.count <= Self.smallSize
        method = request.method
        authentication = request.authentication
        // Of what libcurl transfers itself only what asks for HTTP/2 gets it: when a server says what is no HTTP/2, 7.88
        // tells only the transfer that happened to read it, and the others wait until their time is over (`cf_h2_recv`
        // in lib/http2.c). And a connection can be authenticated with HTTP/1.1 alone.
        isHTTP2 = request.version == .http2 && request.authentication?.isOfConnection != true
        (responseLimit, redirectLimit) = (request.responseLimit, request.redirectLimit)
        (usesProxy, connectsElsewhere) = (request.destination == .any, request.connectTo != nil)
        (caFile, certificate) = (request.caFile, request.certificate)
    }

    /// Whether a handle may keep its options for the next request: every POST sets all that differs between two of
    /// them.
    var isReusable: Bool { method == "POST" && !connectsElsewhere && !isStream && authentication == nil }

    /// Sets the options on a handle that has none.
    /// - Throws: `CurlFailure`.
    func set(on easy: CurlEasy, _ configuration: HTTPClient.Configuration) throws {
        try easy.set(CURLOPT_PROTOCOLS_STR, "http,https")
        try easy.set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https")
        try easy.set(CURLOPT_DISALLOW_USERNAME_IN_URL, true)
        try easy.set(CURLOPT_USERAGENT, configuration.userAgent)
        try easy.set(CURLOPT_FOLLOWLOCATION, redirectLimit > 0)
        // libcurl counts the repeats of a login as redirects; without FOLLOWLOCATION it follows no others.
        let logins = authentication == nil ? 0 : Self.loginRepeats
        try easy.set(CURLOPT_MAXREDIRS, redirectLimit + logins)
        // The length that the answer to HEAD declares is not the length of its body.
        if method != "HEAD" && !isStream { try easy.setSize(CURLOPT_MAXFILESIZE_LARGE, max(1, responseLimit)) }
        try easy.set(CURLOPT_CONNECTTIMEOUT_MS, Int(configuration.connectTimeout.milliseconds))
        try easy.set(CURLOPT_PROXY, usesProxy ? configuration.proxy ?? "" : "")
        try easy.setConnectionDefaults(caFile: caFile, .http)
        try easy.set(CURLOPT_MAXAGE_CONN, Int(HTTPClient.idleConnectionAge.wholeSeconds))
        try easy.set(CURLOPT_MAXLIFETIME_CONN, Int(HTTPClient.connectionLifetime.wholeSeconds))
        if isStream { try easy.set(CURLOPT_BUFFERSIZE, Self.streamBuffer) }
        if isSmall && !isStream {
            try easy.set(CURLOPT_BUFFERSIZE, 1024)
            try easy.set(CURLOPT_UPLOAD_BUFFERSIZE, Self.smallSize)
        }
        if let certificate { try set(certificate, on: easy) }
        if let authentication { try set(authentication, on: easy) }
        // HTTP/2 only is checked when TLS has negotiated: see `HTTPTransfer.begin`.
        try easy.set(CURLOPT_HTTP_VERSION, Int(isHTTP2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1))
        // Rather wait for a connection that is being made than open one for each of a burst.
        try easy.set(CURLOPT_PIPEWAIT, isHTTP2)
    }

    private func set(_ authentication: HTTPRequest.Authentication, on easy: CurlEasy) throws {
        // Bits of curl.h whose macros Swift does not see: CURLAUTH_BASIC, DIGEST, NEGOTIATE, NTLM.
        let bit =
            switch authentication.scheme {
            case .basic: 1 << 0
            case .digest: 1 << 1
            case .negotiate: 1 << 2
            case .ntlm: 1 << 3
            }
        try easy.set(CURLOPT_HTTPAUTH, bit)
        try easy.set(CURLOPT_USERNAME, authentication.user)
        try easy.set(CURLOPT_PASSWORD, authentication.password.exposed)
    }

    private func set(_ certificate: HTTPRequest.ClientCertificate, on easy: CurlEasy) throws {
        try easy.set(CURLOPT_SSLCERTTYPE, certificate.format.rawValue)
        try easy.set(CURLOPT_SSLCERT, certificate.file)
        if certificate.format == .pem { try easy.set(CURLOPT_SSLKEY, certificate.keyFile ?? certificate.file) }
        // An empty one where there is none: without any OpenSSL would ask for it on the terminal.
        try easy.set(CURLOPT_KEYPASSWD, certificate.password?.exposed ?? "")
    }
}

/// The schemes we send to.
enum URLScheme {
    case http
    case https

    /// nil for a URL that names none of them.
    init?(_ url: String) {
        let start = url.utf8.prefix(8).map { $0 | 0x20 }
        if start.starts(with: "https://".utf8.map { $0 | 0x20 }) {
            self = .https
        } else if start.starts(with: "http://".utf8.map { $0 | 0x20 }) {
            self = .http
        } else {
            return nil
        }
    }
}

/// Header lines as bytes: what a service is sent thousands of times a second needs no Unicode.
enum HeaderBytes {
    static let statusLine = Array("HTTP/".utf8)
    /// A name without a value takes libcurl's own header away.
    static let noExpect = Array("Expect:\0".utf8)
    static let noContentType = Array("Content-Type:\0".utf8)

    /// RFC 9110 section 5.6.2.
    private static let tokens: [Bool] = {
        var table = [Bool](repeating: false, count: 256)
        for byte in "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8 {
            table[Int(byte)] = true
        }
        return table
    }()

    static func isToken(_ byte: UInt8) -> Bool { tokens[Int(byte)] }

    /// Appends `name: value` as libcurl wants it, with a zero byte at the end; false for forbidden characters.
    static func append(_ field: HTTPFields.Field, to line: inout [UInt8]) -> Bool {
        line.append(contentsOf: field.name.utf8)
        let nameEnd = line.count
        guard nameEnd > 0, line.allSatisfy({ tokens[Int($0)] }) else { return false }
        if field.value.isEmpty {
            line.append(UInt8(ascii: ";"))
        } else {
            line.append(UInt8(ascii: ":"))
            line.append(UInt8(ascii: " "))
            line.append(contentsOf: field.value.utf8)
            for byte in line[nameEnd...] where byte < 0x20 && byte != 0x09 || byte == 0x7F { return false }
        }
        line.append(0)
        return true
    }

    /// Whether bytes are a field's name: token characters, at least one.
    static func isName(_ bytes: Span<UInt8>, from start: Int, to end: Int) -> Bool {
        var index = start
        while index < end, tokens[Int(bytes[index])] { index += 1 }
        return index == end && end > start
    }

    /// Whether bytes may be a field's value: no control characters but the tab.
    static func isValue(_ bytes: Span<UInt8>, from start: Int, to end: Int) -> Bool {
        var index = ByteScan.control(in: bytes, from: start, to: end)
        while index < end, bytes[index] == 0x09 { index = ByteScan.control(in: bytes, from: index + 1, to: end) }
        return index == end
    }

    /// Whether space stands before or after a value, which is no part of it (RFC 9110 section 5.5).
    static func isPadded(_ value: String) -> Bool {
        value.utf8.first.map(isSpace) ?? false || value.utf8.last.map(isSpace) ?? false
    }

    /// Whether a header's name is `lowercase`, in whatever case.
    static func same(_ name: String, _ lowercase: String) -> Bool {
        name.utf8.count == lowercase.utf8.count && zip(name.utf8, lowercase.utf8).allSatisfy { $0 | 0x20 == $1 }
    }

    /// Name and value of an answer's header line; nil for what is none, such as the continuation of a line.
    @unsafe static func field(_ line: UnsafeRawBufferPointer) -> (name: String, value: String)? {
        guard let first = unsafe line.first, first != 0x20, first != 0x09,
            let colon = unsafe line.firstIndex(of: UInt8(ascii: ":"))
        else { return nil }
        var (start, end) = (colon + 1, line.count)
        while start < end, unsafe isSpace(line[start]) { start += 1 }
        while end > start, unsafe isSpace(line[end - 1]) { end -= 1 }
        let name = unsafe String(decoding: line[..<colon], as: UTF8.self)
        return unsafe (name, String(decoding: line[start..<end], as: UTF8.self))
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A }
}
