internal import Base
internal import CCurl

/// libcurl's part of a mail connection: connect, TLS, STARTTLS and SASL login, then nothing more. Used on the
/// loop's thread only.
@safe final class MailLogin: CurlTransfer {
    let request: MailConnectionRequest
    private let destination: DestinationGuard
    private let onCompletion: (MailLogin, CURLcode) -> Void
    private var transcript = MailTranscript()

    init(_ request: MailConnectionRequest, easy: CurlEasy, onCompletion: @escaping (MailLogin, CURLcode) -> Void) {
        self.request = request
        destination = DestinationGuard(request.destination, .mail, easy: easy)
        self.onCompletion = onCompletion
        super.init(easy: easy)
    }

    override func completed(_ code: CURLcode) { onCompletion(self, code) }

    /// The server's words are of no use after the login.
    func forgetTranscript() { transcript = MailTranscript() }

    /// Suites up to TLS 1.2, in OpenSSL's names; those of TLS 1.3 are not touched by it.
    private static let cipherSuites = [
        "ECDHE+AESGCM", "ECDHE+CHACHA20", "ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA", "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-RSA-AES128-SHA", "AES256-GCM-SHA384", "AES128-GCM-SHA256", "AES256-SHA", "AES128-SHA",
    ].joined(separator: ":")

    /// Sets every option.
    /// - Throws: `CurlFailure`; `MailConnectionError` for a request that makes no sense.
    func prepare() throws {
        let isIPv6 = request.host.contains(":")
        let hostBytes = request.host.utf8
        guard (1...65_535).contains(request.port), !hostBytes.isEmpty,
            hostBytes.allSatisfy({ $0 > 0x20 && $0 != 0x7F && !"/@?#[]\\%".utf8.contains($0) })
        else { throw MailConnectionError(.invalidRequest, "no usable host and port") }
        guard request.service != .raw || (request.security != .startTLS && request.login == .none) else {
            throw MailConnectionError(.invalidRequest, "bytes alone have neither STARTTLS nor a login")
        }
        // Connecting is all that libcurl does for HTTP when it is told to only connect.
        let protocolName = request.service == .raw ? "http" : request.service.rawValue
        let scheme = protocolName + (request.security == .implicitTLS ? "s" : "")
        let host = isIPv6 ? "[\(request.host)]" : request.host
        try easy.set(CURLOPT_PROTOCOLS_STR, scheme)
        let clientName = request.service == .smtp ? request.clientName ?? "" : ""
        guard clientName.utf8.allSatisfy({ Self.isNameByte($0) }) else {
            throw MailConnectionError(.invalidRequest, "our own name has a forbidden character")
        }
        try easy.set(CURLOPT_URL, "\(scheme)://\(host):\(request.port)/\(clientName)")
        try easy.set(CURLOPT_PROXY, "")
        try easy.set(CURLOPT_CONNECT_ONLY, 1)
        if request.service == .raw { try easy.set(CURLOPT_SSL_ENABLE_ALPN, false) }
        try easy.set(CURLOPT_USE_SSL, Int((request.security == .startTLS ? CURLUSESSL_ALL : CURLUSESSL_NONE).rawValue))
        try easy.setConnectionDefaults(caFile: request.caFile, .mail)
        // CURLOPT_TIMEOUT_MS would, in newer versions, also end the session after the login.
        let milliseconds = Int(min(max(1, request.timeout.milliseconds), HTTPClient.timeoutLimit.milliseconds))
        try easy.set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds)
        try easy.set(CURLOPT_SERVER_RESPONSE_TIMEOUT, max(1, (milliseconds + 999) / 1000))
        // Authenticated encryption first, the older AES suites for old mail servers, and nothing weaker. Each
        // connection keeps a copy of the list: OpenSSL's own of sixty costs 0.7 KiB more.
        try easy.set(CURLOPT_SSL_CIPHER_LIST, Self.cipherSuites)
        // Ten thousand handles stay: the least buffers, and no cached TLS session for each.
        try easy.set(CURLOPT_BUFFERSIZE, 1024)
        try easy.set(CURLOPT_UPLOAD_BUFFERSIZE, 16 << 10)
        try easy.set(CURLOPT_SSL_SESSIONID_CACHE, false)
        try setLogin()
        try destination.install()
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        try CurlEasy.check(
            unsafe farbell_easy_set_data_callback(easy.handle, CURLOPT_HEADERFUNCTION, Self.lineArrived))
        try unsafe easy.setPointer(CURLOPT_HEADERDATA, context)
        try CurlEasy.check(
            unsafe farbell_easy_set_data_callback(easy.handle, CURLOPT_WRITEFUNCTION, Self.bodyArrived))
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) || byte == 0x2D || byte == 0x2E
    }

    private func setLogin() throws {
        let mechanisms: [String]
        switch request.login {
        case .none: return
        case .password(let user, let password):
            try setUser(user)
            try setSecret(CURLOPT_PASSWORD, password)
            if let identity = request.authorization {
                guard !identity.isEmpty, !identity.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
                    throw MailConnectionError(.invalidRequest, "the mailbox's name has a forbidden character")
                }
                try easy.set(CURLOPT_SASL_AUTHZID, identity)
                // No other mechanism can say it.
                mechanisms = ["PLAIN"]
            } else {
                mechanisms = request.mechanisms.isEmpty ? ["PLAIN", "LOGIN"] : request.mechanisms
            }
        case .bearer(let user, let token):
            try setUser(user)
            try setSecret(CURLOPT_XOAUTH2_BEARER, token)
            mechanisms = request.mechanisms.isEmpty ? ["OAUTHBEARER", "XOAUTH2"] : request.mechanisms
        }
        let isClean = mechanisms.allSatisfy { name in
            name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ";") }
        }
        guard isClean else { throw MailConnectionError(.invalidRequest, "a mechanism has a forbidden character") }
        try easy.set(CURLOPT_LOGIN_OPTIONS, mechanisms.map { "AUTH=\($0)" }.joined(separator: ";"))
    }

    private func setUser(_ user: String) throws {
        guard !user.isEmpty, !user.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
            throw MailConnectionError(.invalidRequest, "the user's name has a forbidden character")
        }
        try easy.set(CURLOPT_USERNAME, user)
    }

    private func setSecret(_ option: CURLoption, _ secret: Secret) throws {
        // C strings end at NUL, and a line end would begin a second command in the plain LOGIN command.
        guard !secret.isEmpty, !secret.bytes.contains(where: { $0 == 0 || $0 == 0x0A || $0 == 0x0D }) else {
            throw MailConnectionError(.invalidRequest, "the credential is empty or has a forbidden character")
        }
        try easy.set(option, secret.exposed)
    }

    // MARK: The result

    /// What a failed login means.
    func failure(_ code: CURLcode) -> MailConnectionError {
        let text = CurlEasy.text(code)
        if destination.hasRefused && code == CURLE_COULDNT_CONNECT {
            return MailConnectionError(.addressRefused, "the address is not a public one")
        }
        return MailConnectionError(kind(code), text, serverText: transcript.shown(hiding: secrets))
    }

    private var secrets: [String] {
        switch request.login {
        case .none: []
        case .password(_, let secret), .bearer(_, let secret): [secret.exposed]
        }
    }

    private func kind(_ code: CURLcode) -> MailConnectionError.Code {
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST: .nameResolution
        case CURLE_COULDNT_CONNECT: .connect
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
            CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_USE_SSL_FAILED:
            .tls
        case CURLE_OPERATION_TIMEDOUT: .timeout
        case CURLE_LOGIN_DENIED, CURLE_AUTH_ERROR: transcript.loginFailure
        case CURLE_WEIRD_SERVER_REPLY: transcript.isRefusal ? .greetingRefused : .protocolError
        case CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_GOT_NOTHING:
            transcript.saidGoodbye ? .loginTemporary : .connectionLost
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL, CURLE_BAD_FUNCTION_ARGUMENT: .invalidRequest
        case CURLE_OUT_OF_MEMORY, CURLE_FAILED_INIT: .overloaded
        default: .protocolError
        }
    }

    // MARK: Callbacks

    private static let lineArrived: farbell_data_callback = { bytes, size, count, context in
        guard let context = unsafe context, let bytes = unsafe bytes else { return 0 }
        let login = unsafe Unmanaged<MailLogin>.fromOpaque(context).takeUnretainedValue()
        let line = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
        unsafe login.transcript.append(line)
        return size * count
    }

    /// Nothing of a login is a body; without this libcurl would write to standard output.
    private static let bodyArrived: farbell_data_callback = { _, size, count, _ in size * count }
}
