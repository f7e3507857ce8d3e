internal import Base
internal import Cryptography
package import Gateway

/// Publishes to ntfy's topics, with at most one access token.
package struct NtfyAdapter: PushAdapter {
    /// From request to answer. A push makes at most two requests, and must be done in 30 seconds.
    static let requestTimeout: Duration = .seconds(14)
    /// Bytes of the longest answer read.
    static let responseLimit = 32_768

    private let settings: NtfySettings
    private let context: PluginContext
    private let answers: NtfyAnswers

    init(_ settings: NtfySettings, _ context: PluginContext) {
        (self.settings, self.context) = (settings, context)
        answers = NtfyAnswers(time: context.time)
    }

    package var concurrency: Int { settings.concurrency }
    /// By ending the sequence, which servers before 2.16 do not know.
    package var canClear: Bool { true }

    package func fault(in address: Channel.Address) -> String? {
        do {
            _ = try NtfyTopic(address, settings)
            return nil
        } catch {
            return error.message
        }
    }

    package func send(_ push: Push) async -> PushReport {
        guard let topic = try? NtfyTopic(push.address, settings) else {
            return PushReport(.rejected, reason: "invalid_address", hop: .token)
        }
        if let wait = answers.wait(for: topic) {
            return PushReport(.retry(after: wait, .device), reason: "origin_paused", hop: .service)
        }
        switch push.content {
        case .alert(let notification): return await publish(push, notification, topic)
        case .clear(_, let collapse, _):
            let sequence = NtfyMessage.sequence(collapse)
            return await attempt(request("PUT", "\(topic.base)/\(topic.name)/\(sequence)/clear", topic), topic).report
        }
    }

    /// Publishes, and once more without texts where the first was too large for the server.
    private func publish(_ push: Push, _ notification: Notification, _ topic: NtfyTopic) async -> PushReport {
        var isBrief = false
        while true {
            let document: [UInt8]?
            do {
                document = try NtfyMessage.document(
                    push, notification, topic: topic, tags: settings.tags, page: context.page(ofTap: notification.tap),
                    isBrief: isBrief)
            } catch {
                return PushReport(.rejected, reason: "invalid_encryption_key", hop: .token)
            }
            guard let document else { return PushReport(.rejected, reason: "payload_too_large") }
            var request = request("POST", "\(topic.base)/", topic)
            request.headers.append("Content-Type", "application/json")
            request.body = document
            let (status, report) = await attempt(request, topic)
            // 40014: too long for a message there, and attachments are switched off.
            let isTooLarge = status == 413 || report.reason == "ntfy_40014"
            if isTooLarge, !isBrief, push.encryption == nil, push.payload == .summary {
                isBrief = true
                continue
            }
            return report
        }
    }

    private func attempt(_ request: HTTPRequest, _ topic: NtfyTopic) async -> (status: Int?, report: PushReport) {
        do {
            let response = try await context.transport.send(request)
            return (response.status, answers.report(response, topic, isClear: request.method == "PUT"))
        } catch {
            return (nil, answers.report(unanswered: error, topic))
        }
    }

    private func request(_ method: String, _ url: String, _ topic: NtfyTopic) -> HTTPRequest {
        var request = HTTPRequest(method, url)
        request.timeout = Self.requestTimeout
        request.responseLimit = Self.responseLimit
        request.caFile = settings.caFile
        request.pool = settings.pool
        switch topic.server {
        case .configured:
            if let token = settings.token { request.headers.append("Authorization", "Bearer \(token.exposed)") }
        case .foreign:
            // Never on the connections that carry the token, and never to a private address.
            request.pool += ":foreign"
            request.destination = .publicExcept(hosts: settings.allowHosts)
        }
        return request
    }
}
