package import Base
internal import CCrypto

/// Signs messages with a certificate: CMS (RFC 5652) in DER, detached and without signed
/// attributes, as `.rdp` files carry it.
@safe package final class DetachedSigner: @unchecked Sendable {
    // Sendable: certificate and chain are only read after `init`, and CMS_sign only raises their
    // reference counts, which OpenSSL does atomically.
    private let key: KeyHandle
    private let certificate: OpaquePointer
    private let chain: OpaquePointer

    /// - Parameters:
    ///   - certificatePEM: the signer's certificate, then any certificates that lead to the root.
    ///   - keyPEM: the unencrypted private key that belongs to the first certificate.
    /// - Throws: `invalidKey`, also when key and certificate do not belong together; `tooLong`.
    package init(certificatePEM: [UInt8], keyPEM: Secret) throws(CryptographyError) {
        let key = try KeyHandle.privateKey(pem: keyPEM)
        guard certificatePEM.count <= KeyHandle.pemLimit else {
            throw CryptographyError(.tooLong, "the certificates are too long")
        }
        guard let chain = unsafe ccrypto_certificates_new() else { throw .openSSL("no memory for certificates") }
        unsafe certificatePEM.withUnsafeBytes { buffer in
            guard let bio = unsafe BIO_new_mem_buf(buffer.baseAddress, Int32(buffer.count)) else { return }
            while unsafe ccrypto_read_certificate(bio, chain) == 1 {}
            unsafe BIO_free(bio)
        }
        guard let certificate = unsafe ccrypto_certificates_shift(chain) else {
            unsafe ccrypto_certificates_free(chain)
            throw .openSSL(.invalidKey, "no certificate in this PEM text")
        }
        // The reader ends with "no start line", which is no fault.
        ERR_clear_error()
        guard unsafe X509_check_private_key(certificate, key.pointer) == 1 else {
            unsafe X509_free(certificate)
            unsafe ccrypto_certificates_free(chain)
            throw .openSSL(.invalidKey, "the private key does not belong to the certificate")
        }
        self.key = key
        unsafe self.certificate = certificate
        unsafe self.chain = chain
    }

    deinit {
        unsafe X509_free(certificate)
        unsafe ccrypto_certificates_free(chain)
    }

    /// The signature of a message, in DER.
    /// - Throws: `tooLong`, `libraryFailure`.
    package func sign(_ message: [UInt8]) throws(CryptographyError) -> [UInt8] {
        guard let size = Int32(exactly: message.count) else { throw CryptographyError(.tooLong, "too long to sign") }
        let made = unsafe message.withUnsafeBytes { buffer -> OpaquePointer? in
            guard let bio = unsafe BIO_new_mem_buf(buffer.baseAddress, size) else { return nil }
            defer { unsafe BIO_free(bio) }
            return unsafe ccrypto_cms_sign(certificate, key.pointer, chain, bio)
        }
        guard let signed = unsafe made else { throw .openSSL("the message was not signed") }
        defer { unsafe CMS_ContentInfo_free(signed) }
        return try unsafe MemoryFile.written("the signature was not encoded") { bio in
            unsafe i2d_CMS_bio(bio, signed) == 1
        }
    }
}
