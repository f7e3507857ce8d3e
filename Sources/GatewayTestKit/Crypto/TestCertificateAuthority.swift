internal import Base
internal import CTLS
internal import Glibc

/// A certificate chain and its key, in PEM files.
package struct TestIdentity: Sendable {
    package let certificateFile: String
    package let keyFile: String
}

/// A certificate authority of its own for each run; its files vanish with it.
package final class TestCertificateAuthority: Sendable {
    /// Trust this one: the authority's certificate in PEM.
    package let caFile: String
    /// For `localhost` and 127.0.0.1.
    package let localhost: TestIdentity
    private let folder: TemporaryFolder
    private let key: ECKey
    private let certificate: Certificate

    /// - Throws: `PeerError` when the files cannot be written.
    package init() throws {
        folder = try TemporaryFolder()
        key = try ECKey()
        certificate = try Certificate(
            subject: "Farbell Test CA", key: key, issuer: nil, names: nil, days: -1...30)
        caFile = "\(folder.path)/ca.pem"
        try folder.write(certificate.pem(), to: "ca.pem")
        localhost = try Self.issue(
            folder, name: "localhost", names: "DNS:localhost,IP:127.0.0.1", days: -1...30, issuer: (certificate, key))
    }

    /// Makes a further certificate, for tests of refusals.
    /// - Parameters:
    ///   - name: the common name, and the files' name in the authority's folder.
    ///   - names: the subject alternative names in OpenSSL's form, such as `DNS:example.org`.
    ///   - days: its validity in days from now, `-10 ... -5` for an expired one.
    package func issue(_ name: String, names: String, days: ClosedRange<Int> = -1...30) throws -> TestIdentity {
        try Self.issue(folder, name: name, names: names, days: days, issuer: (certificate, key))
    }

    /// A client certificate in the forms people have them in.
    /// - Returns: paths: certificate and key in one PEM file, and both in PKCS#12 under `password`.
    package func issueClient(_ name: String, password: String) async throws -> (pem: String, pkcs12: String) {
        let identity = try issue(name, names: "DNS:\(name).example")
        let both = [identity.certificateFile, identity.keyFile].flatMap {
            FileSystem.contents(of: $0, limit: 65_536) ?? []
        }
        let pem = try folder.write(both, to: "\(name)-both.pem")
        let pkcs12 = "\(folder.path)/\(name).p12"
        let result = try await ChildProcess.run(
            "openssl", ["pkcs12", "-export", "-in", pem, "-out", pkcs12, "-passout", "pass:\(password)"])
        guard case .code(0) = result.exit else { throw PeerError(.certificate, "openssl made no PKCS#12 file") }
        return (pem, pkcs12)
    }

    private static func issue(
        _ folder: TemporaryFolder, name: String, names: String, days: ClosedRange<Int>,
        issuer: (certificate: Certificate, key: ECKey)
    ) throws -> TestIdentity {
        let key = try ECKey()
        let certificate = try Certificate(subject: name, key: key, issuer: issuer, names: names, days: days)
        try folder.write(certificate.pem(), to: "\(name).pem")
        try folder.write(key.privatePEM(), to: "\(name).key")
        return TestIdentity(certificateFile: "\(folder.path)/\(name).pem", keyFile: "\(folder.path)/\(name).key")
    }
}

/// An X.509 certificate; owns OpenSSL's object.
@safe private final class Certificate: @unchecked Sendable {
    // Sendable: complete after `init`; reading is all that follows.
    private let handle: OpaquePointer

    /// - Parameter issuer: nil for a self-signed authority.
    init(
        subject: String, key: ECKey, issuer: (certificate: Certificate, key: ECKey)?, names: String?,
        days: ClosedRange<Int>
    ) throws {
        guard let x509 = unsafe X509_new() else { throw PeerError(.certificate, "no memory") }
        unsafe handle = x509
        unsafe X509_set_version(x509, 2)
        unsafe ASN1_INTEGER_set_int64(X509_get_serialNumber(x509), Int64.random(in: 1...Int64.max))
        unsafe X509_gmtime_adj(X509_getm_notBefore(x509), days.lowerBound * 86_400)
        unsafe X509_gmtime_adj(X509_getm_notAfter(x509), days.upperBound * 86_400)
        unsafe X509_set_pubkey(x509, key.handle)
        let name = unsafe X509_get_subject_name(x509)
        _ = unsafe subject.withCString {
            unsafe $0.withMemoryRebound(to: UInt8.self, capacity: subject.utf8.count) {
                unsafe X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, $0, -1, -1, 0)
            }
        }
        let issuerHandle = unsafe issuer.map { unsafe $0.certificate.handle } ?? x509
        unsafe X509_set_issuer_name(x509, X509_get_subject_name(issuerHandle))
        unsafe add(NID_basic_constraints, issuer == nil ? "critical,CA:TRUE" : "critical,CA:FALSE", issuerHandle)
        unsafe add(NID_subject_key_identifier, "hash", issuerHandle)
        unsafe add(NID_authority_key_identifier, "keyid", issuerHandle)
        if issuer == nil {
            unsafe add(NID_key_usage, "critical,keyCertSign,cRLSign", issuerHandle)
        } else {
            unsafe add(NID_key_usage, "critical,digitalSignature", issuerHandle)
            unsafe add(NID_ext_key_usage, "serverAuth,clientAuth", issuerHandle)
        }
        if let names { unsafe add(NID_subject_alt_name, names, issuerHandle) }
        guard unsafe X509_sign(x509, (issuer?.key ?? key).handle, EVP_sha256()) > 0 else {
            throw PeerError(.certificate, "signing failed")
        }
    }

    deinit { unsafe X509_free(handle) }

    func pem() throws -> [UInt8] {
        try unsafe PEMText.write { unsafe PEM_write_bio_X509($0, handle) }
    }

    private func add(_ kind: Int32, _ value: String, _ issuer: OpaquePointer) {
        let ext = unsafe ctls_extension(issuer, handle, kind, value)
        unsafe X509_add_ext(handle, ext, -1)
        unsafe X509_EXTENSION_free(ext)
    }
}
