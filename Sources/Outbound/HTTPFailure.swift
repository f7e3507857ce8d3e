internal import Base
internal import CCurl

/// What a failed transfer means to the sender.
enum HTTPFailure {
    /// What the transfer itself saw, beside libcurl's code.
    struct Circumstances {
        /// A connection was ready and libcurl was about to write the request, at least once.
        var requestBegan = false
        var addressRefused = false
        var http2Refused = false
        var tooLarge = false
    }

    static let noHTTP2 = HTTPTransportError(
        .protocolError, "the server does not offer HTTP/2", surelyNotProcessed: true)

    /// - Returns: The error for `code`. `surelyNotProcessed` is true only where the request was never begun. Streams that
    ///   HTTP/2 refuses libcurl 7.88 repeats by itself where it speaks HTTP/2, up to five times; when it gives up, it does
    ///   not tell this case from a connection that died, so the outcome counts as unknown.
    static func error(_ code: CURLcode, _ seen: Circumstances) -> HTTPTransportError {
        let text = CurlEasy.text(code)
        if seen.http2Refused {
            return noHTTP2
        }
        if seen.tooLarge || code == CURLE_FILESIZE_EXCEEDED {
            return HTTPTransportError(
                .responseTooLarge, "the answer exceeds the limit", surelyNotProcessed: false)
        }
        if seen.addressRefused && code == CURLE_COULDNT_CONNECT {
            return HTTPTransportError(
                .addressRefused, "the address is not a public one", surelyNotProcessed: !seen.requestBegan)
        }
        return HTTPTransportError(kind(code, seen), text, surelyNotProcessed: !seen.requestBegan)
    }

    private static func kind(_ code: CURLcode, _ seen: Circumstances) -> HTTPTransportError.Code {
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: .nameResolution
        case CURLE_COULDNT_CONNECT, CURLE_PROXY: .connect
        case CURLE_SSL_CERTPROBLEM, CURLE_SSL_CLIENTCERT: .clientCertificate
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CIPHER,
            CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_PINNEDPUBKEYNOTMATCH,
            CURLE_SSL_INVALIDCERTSTATUS, CURLE_SSL_ENGINE_INITFAILED:
            .tls
        case CURLE_OPERATION_TIMEDOUT: .timeout
        case CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE, CURLE_HTTP2,
            CURLE_HTTP2_STREAM:
            .connectionLost
        // libcurl reports an answer without a status line as an unsupported protocol too.
        case CURLE_UNSUPPORTED_PROTOCOL where !seen.requestBegan: .invalidRequest
        case CURLE_URL_MALFORMAT, CURLE_LOGIN_DENIED, CURLE_BAD_FUNCTION_ARGUMENT, CURLE_UNKNOWN_OPTION:
            seen.requestBegan ? .protocolError : .invalidRequest
        case CURLE_OUT_OF_MEMORY, CURLE_FAILED_INIT, CURLE_NO_CONNECTION_AVAILABLE: .overloaded
        default: .protocolError
        }
    }
}
