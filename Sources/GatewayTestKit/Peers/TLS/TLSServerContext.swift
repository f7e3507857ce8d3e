internal import CTLS

/// A server's certificate, key and ALPN list, shared by its connections.
@safe package final class TLSServerContext: @unchecked Sendable {
    // Sendable: an SSL_CTX is not changed after `init`, and OpenSSL counts its references atomically.
    let handle: OpaquePointer
    /// The protocols in wire form; OpenSSL's callback points here, so it lives as long as the handle.
    private let protocols: UnsafeMutableBufferPointer<UInt8>

    /// - Parameters:
    ///   - identity: certificate chain and key.
    ///   - protocols: what ALPN may choose, best first; empty for no ALPN. A client that offers ALPN
    ///     without a common protocol is refused (RFC 7301 section 3.2).
    ///   - clientAuthority: PEM file; clients are asked for a certificate of this authority and may have none, but
    ///     one that does not hold ends the handshake.
    /// - Throws: `PeerError` when OpenSSL refuses the files.
    package init(_ identity: TestIdentity, protocols names: [String] = [], clientAuthority: String? = nil) throws {
        guard let context = unsafe SSL_CTX_new(TLS_server_method()) else {
            throw PeerError(.certificate, "no TLS context")
        }
        unsafe handle = context
        let wire = names.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        unsafe protocols = .allocate(capacity: max(1, wire.count))
        _ = unsafe protocols.initialize(from: wire)
        unsafe ctls_make_small(context)
        guard unsafe SSL_CTX_use_certificate_chain_file(context, identity.certificateFile) == 1,
            unsafe SSL_CTX_use_PrivateKey_file(context, identity.keyFile, SSL_FILETYPE_PEM) == 1
        else { throw PeerError(.certificate, "unusable certificate or key") }
        if let clientAuthority {
            guard unsafe SSL_CTX_load_verify_file(context, clientAuthority) == 1 else {
                throw PeerError(.certificate, "unusable authority for clients")
            }
            unsafe SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(clientAuthority))
            unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        }
        guard !wire.isEmpty else { return }
        let list = UnsafeMutablePointer<WireList>.allocate(capacity: 1)
        unsafe list.initialize(to: WireList(start: protocols.baseAddress, count: UInt32(wire.count)))
        unsafe self.list = list
        unsafe SSL_CTX_set_alpn_select_cb(
            context,
            { _, chosen, chosenLength, offered, offeredLength, argument in
                guard let chosen = unsafe chosen, let argument = unsafe argument else {
                    return SSL_TLSEXT_ERR_ALERT_FATAL
                }
                let list = unsafe argument.assumingMemoryBound(to: WireList.self).pointee
                var start: UnsafeMutablePointer<UInt8>?
                let found = unsafe SSL_select_next_proto(
                    &start, chosenLength, list.start, list.count, offered, offeredLength)
                guard found == OPENSSL_NPN_NEGOTIATED else { return SSL_TLSEXT_ERR_ALERT_FATAL }
                unsafe chosen.pointee = UnsafePointer(start)
                return SSL_TLSEXT_ERR_OK
            }, list)
    }

    @unsafe private struct WireList {
        let start: UnsafeMutablePointer<UInt8>?
        let count: UInt32
    }
    private var list: UnsafeMutablePointer<WireList>?

    deinit {
        unsafe SSL_CTX_free(handle)
        unsafe protocols.deallocate()
        unsafe list?.deallocate()
    }
}
