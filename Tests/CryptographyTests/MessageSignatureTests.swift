import Base
import Cryptography
import Testing

@Suite struct MessageSignatureTests {
    private let body = Array(#"{"test": 2432232314}"#.utf8)
    private let id = "msg_p5jXN8AQM9LWM0D4loKWxJek"
    private let timestamp = Timestamp(seconds: 1_614_265_330)
    private let secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    private let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    @Test("Standard Webhooks: the published example's signature")
    func webhook() throws {
        let signer = try StandardWebhooks(secret: secret)
        #expect(try signer.signature(id: id, timestamp: timestamp, body: body) == expected)
        let raw = try #require([UInt8](base64: "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
        let rawSigner = try StandardWebhooks(secret: Secret(bytes: raw))
        #expect(try rawSigner.signature(id: id, timestamp: timestamp, body: body) == expected)
    }

    @Test("Standard Webhooks: any change is noticed, and one of several signatures is enough")
    func webhookVerify() throws {
        let signer = try StandardWebhooks(secret: secret)
        #expect(try signer.verify("v1,AAAA \(expected) v1a,x", id: id, timestamp: timestamp, body: body))
        #expect(try !signer.verify(expected, id: id + "x", timestamp: timestamp, body: body))
        #expect(try !signer.verify(expected, id: id, timestamp: timestamp + .seconds(1), body: body))
        #expect(try !signer.verify(expected, id: id, timestamp: timestamp, body: body + [0x20]))
        #expect(try !signer.verify("", id: id, timestamp: timestamp, body: body))
        #expect(code { _ = try signer.signature(id: "a.b", timestamp: timestamp, body: body) } == .invalidInput)
    }

    @Test("Standard Webhooks: bad secrets are refused", arguments: ["", "short", "whsec_", "whsec_%%%", "whsec_AAAA"])
    func badSecret(text: String) {
        #expect(code { _ = try StandardWebhooks(secret: Secret(text)) } == .invalidKey)
    }

    /// A root, a certificate below it, and that one's key.
    private func certificates(in folder: TemporaryFolder) throws -> (root: String, chain: [UInt8], key: Secret) {
        let (rootKey, root) = (folder.path("root.key"), folder.path("root.pem"))
        let (key, request, leaf) = (folder.path("leaf.key"), folder.path("leaf.csr"), folder.path("leaf.pem"))
        _ = try Helper.run([
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", rootKey, "-out", root, "-days", "2",
            "-subj", "/CN=Test root",
        ])
        _ = try Helper.run([
            "openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj",
            "/CN=Test signer",
        ])
        _ = try Helper.run([
            "openssl", "x509", "-req", "-in", request, "-CA", root, "-CAkey", rootKey, "-set_serial", "2", "-days", "2",
            "-out", leaf,
        ])
        let read = { (path: String) in try #require(FileSystem.contents(of: path, limit: 65_536)) }
        return (root, try read(leaf) + read(root), Secret(bytes: try read(key)))
    }

    @Test("A detached CMS signature is accepted by openssl cms, and only for its message")
    func cms() throws {
        let folder = try TemporaryFolder()
        let (root, chain, key) = try certificates(in: folder)
        let message = Array("full address:s:host\r\n\0".utf8)
        let signature = try DetachedSigner(certificatePEM: chain, keyPEM: key).sign(message)
        let der = try folder.write(signature, to: "signature")
        let verify = { (message: String) in
            try Helper.run([
                "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", der, "-content", message, "-CAfile",
                root, "-purpose", "any",
            ])
        }
        let path = try folder.write(message, to: "message")
        #expect(try verify(path) == message)
        let altered = try folder.write(message + [0], to: "altered")
        #expect(throws: HelperFailure.self) { try verify(altered) }

        let printed = String(
            decoding: try Helper.run(["openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", der]),
            as: UTF8.self)
        let squeezed = printed.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        #expect(squeezed.contains("signedAttrs: <ABSENT>"))
        #expect(squeezed.contains("eContent: <ABSENT>"))
        #expect(squeezed.contains("CN=Test signer") && squeezed.contains("CN=Test root"))
    }

    @Test("A key of another certificate, and texts without one, are refused")
    func badSigner() throws {
        let folder = try TemporaryFolder()
        let (_, chain, key) = try certificates(in: folder)
        let other = try RS256Key.generate().pem()
        #expect(code { _ = try DetachedSigner(certificatePEM: chain, keyPEM: other) } == .invalidKey)
        #expect(code { _ = try DetachedSigner(certificatePEM: [], keyPEM: key) } == .invalidKey)
        #expect(code { _ = try DetachedSigner(certificatePEM: chain, keyPEM: Secret("")) } == .invalidKey)
        let long: [UInt8] = .init(repeating: 0x20, count: 70_000)
        #expect(code { _ = try DetachedSigner(certificatePEM: long, keyPEM: key) } == .tooLong)
    }
}
