package import Base
internal import CCrypto

/// A client certificate with its key, looked at before it is given to the HTTP client: whether it can be
/// used, and until when.
package struct ClientIdentity: Sendable, Hashable {
    package enum Format: Sendable, Hashable {
        case pem
        case pkcs12
    }

    package let format: Format
    /// When the certificate's validity ends.
    package let expires: Timestamp

    /// - Parameters:
    ///   - certificate: PEM (its first certificate counts) or PKCS#12 (RFC 7292).
    ///   - key: the private key in PEM; nil where it is in `certificate` as well.
    ///   - password: of the key or the PKCS#12 file.
    /// - Throws: `invalidKey` for what cannot be read, a wrong password among it, and for a key that belongs to
    ///   another certificate; `tooLong`.
    package init(
        certificate bytes: [UInt8], key: Secret? = nil, password: Secret? = nil
    ) throws(CryptographyError) {
        guard bytes.count <= KeyHandle.pemLimit else {
            throw CryptographyError(.tooLong, "the certificate is too long")
        }
        let isPEM = String(decoding: bytes, as: UTF8.self).contains("-----BEGIN ")
        format = isPEM ? .pem : .pkcs12
        let pair =
            try unsafe isPEM
            ? Self.readPEM(bytes, key: key ?? Secret(bytes: bytes), password: password ?? Secret(""))
            : Self.readPKCS12(bytes, password: password ?? Secret(""))
        defer { unsafe X509_free(pair.certificate) }
        guard unsafe X509_check_private_key(pair.certificate, pair.key.pointer) == 1 else {
            throw .openSSL(.invalidKey, "the private key does not belong to the certificate")
        }
        let seconds = unsafe ccrypto_certificate_end(pair.certificate)
        expires = Timestamp(seconds: seconds)
    }

    @unsafe private struct Pair {
        /// Owned by whoever gets the pair.
        let certificate: OpaquePointer
        let key: KeyHandle
    }

    private static func readPEM(
        _ bytes: [UInt8], key: Secret, password: Secret
    ) throws(CryptographyError) -> Pair {
        let secret = password.bytes + [0]
        let found = unsafe key.bytes.withUnsafeBytes { buffer -> OpaquePointer? in
            guard let bio = unsafe BIO_new_mem_buf(buffer.baseAddress, Int32(buffer.count)) else { return nil }
            defer { unsafe BIO_free(bio) }
            return unsafe secret.withUnsafeBytes { unsafe ccrypto_read_private_key(bio, $0.baseAddress) }
        }
        guard let found = unsafe found else { throw .openSSL(.invalidKey, "no private key that this password opens") }
        let handle = unsafe KeyHandle(takingOwnership: found)
        let certificate = unsafe bytes.withUnsafeBytes { buffer -> OpaquePointer? in
            guard let bio = unsafe BIO_new_mem_buf(buffer.baseAddress, Int32(buffer.count)) else { return nil }
            defer { unsafe BIO_free(bio) }
            return unsafe PEM_read_bio_X509(bio, nil, ccrypto_refuse_passphrase, nil)
        }
        guard let certificate = unsafe certificate else { throw .openSSL(.invalidKey, "no certificate in this file") }
        return unsafe Pair(certificate: certificate, key: handle)
    }

    private static func readPKCS12(_ bytes: [UInt8], password: Secret) throws(CryptographyError) -> Pair {
        let secret = password.bytes + [0]
        var certificate: OpaquePointer?
        var key: OpaquePointer?
        let done = unsafe bytes.withUnsafeBufferPointer { buffer in
            unsafe secret.withUnsafeBytes {
                unsafe ccrypto_read_pkcs12(buffer.baseAddress, buffer.count, $0.baseAddress, &key, &certificate)
            }
        }
        let handle = unsafe key.map { unsafe KeyHandle(takingOwnership: $0) }
        guard done == 1, let handle, let found = unsafe certificate else {
            unsafe X509_free(certificate)
            throw .openSSL(.invalidKey, "no PKCS#12 file that this password opens")
        }
        return unsafe Pair(certificate: found, key: handle)
    }
}
