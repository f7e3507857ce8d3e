package import Base
internal import Cryptography
package import Gateway

/// Pushes as plain requests to a URL the device names: for devices and services that can be reached.
package struct WebhookPlugin: PushPlugin {
    /// Pushes under way at once unless configured.
    package static let defaultConcurrency = 64

    package init() {}

    package var kind: String { "webhook" }

    package func configure(name: String, _ reader: ConfigReader, _ context: PluginContext) -> (any PushAdapter)? {
        var signer: StandardWebhooks?
        if let secret = reader.optionalSecret("secret") {
            do {
                signer = try StandardWebhooks(secret: secret)
            } catch {
                // An empty one has been reported as what it is: a file or variable that is not there.
                if !secret.isEmpty { reader.report("secret", "not a Standard Webhooks secret: \(error.message)") }
            }
        }
        return WebhookAdapter(
            allowHosts: reader.hosts("allowHosts"), caFile: reader.optionalFile("caFile"), pool: "webhook:\(name)",
            signer: signer,
            concurrency: reader.integer("concurrency", in: 1...1000, default: Self.defaultConcurrency),
            http: context.transport, time: context.time)
    }
}

/// Webhooks with one secret.
package struct WebhookAdapter: PushAdapter {
    /// From request to answer.
    static let requestTimeout: Duration = .seconds(15)
    /// Bytes of the longest answer read; nothing in it matters.
    static let responseLimit = 1 << 20
    /// Bytes of the largest document sent.
    static let documentLimit = 65_536

    private let allowHosts: [String]
    private let caFile: String?
    private let pool: String
    private let signer: StandardWebhooks?
    package let concurrency: Int
    private let http: any HTTPTransport
    private let time: any TimeSource

    init(
        allowHosts: [String], caFile: String?, pool: String, signer: StandardWebhooks?, concurrency: Int,
        http: any HTTPTransport, time: any TimeSource
    ) {
        (self.allowHosts, self.caFile, self.pool, self.signer) = (allowHosts, caFile, pool, signer)
        (self.concurrency, self.http, self.time) = (concurrency, http, time)
    }

    package var canClear: Bool { true }

    package func fault(in address: Channel.Address) -> String? {
        guard case .url(let url) = address else { return "this push service takes a URL" }
        do {
            _ = try WebAddress(url, secureUnlessIn: allowHosts)
            return nil
        } catch {
            return "\(error)"
        }
    }

    package func send(_ push: Push) async -> PushReport {
        guard case .url(let url) = push.address, fault(in: push.address) == nil else {
            return PushReport(.rejected, reason: "invalid_address", hop: .token)
        }
        let document: [UInt8]?
        do {
            document = try Self.document(push)
        } catch {
            return PushReport(.rejected, reason: "invalid_encryption_key", hop: .token)
        }
        guard let body = document else { return PushReport(.rejected, reason: "payload_too_large") }
        let request: HTTPRequest
        do {
            request = try self.request(push, url: url, body)
        } catch {
            return PushReport(.credential, reason: "signing_failed")
        }
        do {
            return report(try await http.send(request))
        } catch {
            return Self.unanswered(error)
        }
    }

    /// The push document; for a device with keys `{"sealed":…}`, which only the device can read.
    /// - Throws: when the device's key cannot be used.
    private static func document(_ push: Push) throws -> [UInt8]? {
        guard let keys = push.encryption else { return PushDocument.bytes(of: push, limit: documentLimit) }
        return try PushDocument.sealed(of: push, limit: PushDocument.sealedLimit) { plain in
            try WebPushEncryption.encrypt(plain, p256dh: keys.publicKey, auth: keys.secret)
        }.map { JSON.object(["sealed": .string($0)]).serializedBytes }
    }

    /// - Throws: `CryptographyError` when the signature cannot be made.
    private func request(_ push: Push, url: String, _ body: [UInt8]) throws(CryptographyError) -> HTTPRequest {
        let now = time.timestamp
        var headers: HTTPFields = [
            "Content-Type": "application/json", "webhook-id": push.id, "webhook-timestamp": String(now.seconds),
        ]
        if let signer {
            headers.append("webhook-signature", try signer.signature(id: push.id, timestamp: now, body: body))
        }
        var request = HTTPRequest("POST", url, headers: headers, body: body)
        request.timeout = Self.requestTimeout
        request.responseLimit = Self.responseLimit
        request.caFile = caFile
        request.destination = .publicExcept(hosts: allowHosts)
        request.pool = pool
        return request
    }

    /// Every URL is somebody's own server, so its trouble is never held against the others.
    private func report(_ response: HTTPResponse) -> PushReport {
        let status = response.status
        switch status {
        case 200..<300: return PushReport(.delivered, status: status)
        case 300..<400: return PushReport(.rejected, status: status, reason: "redirect", hop: .token)
        case 410: return PushReport(.gone(since: nil), status: status, reason: "gone")
        // Mostly another secret.
        case 401, 403: return PushReport(.rejected, status: status, reason: "refused", hop: .credential)
        case 408, 425, 429, 500...:
            let reason = status == 429 ? "too_many_requests" : "service_error"
            return PushReport(
                .retry(after: response.retryAfter(now: time.timestamp), .device), status: status, reason: reason,
                hop: .service)
        default: return PushReport(.rejected, status: status, reason: "refused")
        }
    }

    private static func unanswered(_ error: any Error) -> PushReport {
        if let error = error as? HTTPTransportError, error.code == .responseTooLarge {
            // The answer had begun and its body is of no interest: a repeat would only be a duplicate.
            return PushReport(.rejected, reason: error.code.rawValue, hop: .service)
        }
        return PushReport(transportError: error, blame: .device)
    }
}
