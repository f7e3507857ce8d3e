internal import Base
internal import CMicroHTTPD

/// A certificate with its chain and key, as the TLS library wants it.
@safe final class Certificate: @unchecked Sendable {
    // Sendable: nothing changes after init, and the library only reads it.
    let chain: UnsafeMutablePointer<gnutls_pcert_st>
    let count: UInt32
    let key: gnutls_privkey_t

    /// Certificates in a chain; more are refused.
    private static let chainLimit: UInt32 = 16
    /// Bytes of a PEM file.
    private static let fileLimit = 1 << 20

    /// Reads both files.
    /// - Throws: `InboundError` that names the file, or says that they do not belong together.
    init(_ files: TLSFiles) throws(InboundError) {
        let chainText = try Self.read(files.certificate)
        let keyText = try Self.read(files.key)
        var key: gnutls_privkey_t?
        var status = unsafe gnutls_privkey_init(&key)
        guard status == 0, let key = unsafe key else { throw Self.failure(files.key, status) }
        status = unsafe Self.withDatum(keyText) {
            unsafe gnutls_privkey_import_x509_raw(key, $0, GNUTLS_X509_FMT_PEM, nil, 0)
        }
        guard status == 0 else {
            unsafe gnutls_privkey_deinit(key)
            throw Self.failure(files.key, status)
        }
        let chain = UnsafeMutablePointer<gnutls_pcert_st>.allocate(capacity: Int(Self.chainLimit))
        unsafe chain.initialize(repeating: gnutls_pcert_st(), count: Int(Self.chainLimit))
        var count = Self.chainLimit
        status = unsafe Self.withDatum(chainText) {
            unsafe gnutls_pcert_list_import_x509_raw(
                chain, &count, $0, GNUTLS_X509_FMT_PEM, GNUTLS_X509_CRT_LIST_FAIL_IF_UNSORTED.rawValue)
        }
        guard status == 0, count > 0 else {
            unsafe gnutls_privkey_deinit(key)
            unsafe chain.deallocate()
            throw Self.failure(files.certificate, status)
        }
        unsafe (self.chain, self.count, self.key) = unsafe (chain, count, key)
        guard isPair else {
            throw InboundError(
                .certificate, "the key in '\(files.key)' is not the one of the certificate in '\(files.certificate)'")
        }
    }

    deinit {
        for index in 0..<Int(count) { unsafe gnutls_pcert_deinit(chain + index) }
        unsafe chain.deallocate()
        unsafe gnutls_privkey_deinit(key)
    }

    /// Whether the certificate's public key belongs to the private key.
    private var isPair: Bool {
        var fromKey: gnutls_pubkey_t?
        guard unsafe gnutls_pubkey_init(&fromKey) == 0, let fromKey = unsafe fromKey else { return false }
        defer { unsafe gnutls_pubkey_deinit(fromKey) }
        guard unsafe gnutls_pubkey_import_privkey(fromKey, key, 0, 0) == 0, let own = unsafe Self.id(of: fromKey) else {
            return false
        }
        return unsafe Self.id(of: chain[0].pubkey) == own
    }

    private static func id(of key: gnutls_pubkey_t?) -> [UInt8]? {
        guard let key = unsafe key else { return nil }
        var bytes = [UInt8](repeating: 0, count: 64)
        var size = bytes.count
        let flags = GNUTLS_KEYID_USE_SHA256.rawValue
        guard unsafe gnutls_pubkey_get_key_id(key, flags, &bytes, &size) == 0 else { return nil }
        return Array(bytes.prefix(size))
    }

    private static func withDatum(_ bytes: [UInt8], _ body: (UnsafePointer<gnutls_datum_t>) -> Int32) -> Int32 {
        var bytes = bytes
        return unsafe bytes.withUnsafeMutableBufferPointer { buffer in
            var datum = unsafe gnutls_datum_t(data: buffer.baseAddress, size: UInt32(buffer.count))
            return unsafe body(&datum)
        }
    }

    private static func read(_ path: String) throws(InboundError) -> [UInt8] {
        guard let bytes = FileSystem.contents(of: path, limit: fileLimit) else {
            throw InboundError(.certificate, "cannot read '\(path)'", underlying: FileSystem.lastError)
        }
        return bytes
    }

    private static func failure(_ path: String, _ status: Int32) -> InboundError {
        InboundError(
            .certificate, "cannot use '\(path)'", underlying: unsafe String(cString: gnutls_strerror(status)))
    }
}

/// The certificate in use, which can be exchanged while the server runs.
final class CertificateStore: Sendable {
    private struct State {
        var current: Certificate
        var retired: [(certificate: Certificate, since: Moment)] = []
    }

    private let state: Locked<State>
    /// Longer than any handshake: a handshake that began before keeps pointers to the old one.
    private static let grace = Duration.seconds(600)

    init(_ files: TLSFiles) throws(InboundError) {
        state = Locked(State(current: try Certificate(files)))
    }

    var current: Certificate { state.withLock { $0.current } }

    /// Uses the files from the next handshake on.
    /// - Throws: `InboundError`; the old certificate stays in use.
    func reload(_ files: TLSFiles, now: Moment) throws(InboundError) {
        let certificate = try Certificate(files)
        state.withLock { state in
            state.retired.removeAll { now - $0.since > Self.grace }
            state.retired.append((state.current, now))
            state.current = certificate
        }
    }
}
