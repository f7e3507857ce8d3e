internal import Base
package import Gateway
internal import Mail
internal import Outbound

/// One mail server with one login.
package struct SMTPAdapter: PushAdapter {
    /// From the call to the end of the login, and to the server's verdict.
    static let connectTimeout: Duration = .seconds(15)
    static let submissionTimeout: Duration = .seconds(28)

    private let server: MailConnectionRequest
    private let letterhead: Letterhead
    private let client: HTTPClient?
    private let time: any TimeSource

    /// - Parameter client: the daemon's own; nil only where nothing is ever sent.
    init(
        server: MailConnectionRequest, letterhead: Letterhead, client: HTTPClient?, time: any TimeSource
    ) {
        (self.server, self.letterhead, self.client, self.time) = (server, letterhead, client, time)
    }

    package var concurrency: Int { SMTPPlugin.defaultConcurrency }

    /// A letter that has been delivered stays.
    package var canClear: Bool { false }

    package func fault(in address: Channel.Address) -> String? {
        guard case .token(let text) = address else { return "this push service takes an e-mail address as its token" }
        return MailDraft.isAddress(text)
            ? nil : "expected an e-mail address such as name@example.org, in ASCII and without a display name"
    }

    package func send(_ push: Push) async -> PushReport {
        guard case .token(let address) = push.address, fault(in: push.address) == nil else {
            return PushReport(.rejected, reason: "invalid_address", hop: .token)
        }
        guard case .alert(let notification) = push.content else {
            return PushReport(.rejected, reason: "cannot_clear", hop: .payload)
        }
        guard push.encryption == nil else { return PushReport(.rejected, reason: "cannot_seal", hop: .payload) }
        let draft = letterhead.letter(about: notification, push, to: address, date: time.timestamp)
        guard let bytes = draft.bytes else { return PushReport(.rejected, reason: "no_message", hop: .payload) }
        guard let client else { return PushReport(.retry(after: nil, .service), reason: "no_client") }
        var submission = MailSubmission(server: server, sender: letterhead.from, recipient: address, message: bytes)
        submission.timeout = Self.submissionTimeout
        do {
            return SMTPVerdict.report(try await client.submitMail(submission, time: time))
        } catch {
            return SMTPVerdict.report(error)
        }
    }
}

/// What every letter has in common.
struct Letterhead: Sendable {
    /// Bytes of the longest text sent; mailboxes are for reading, not for archives.
    static let textLimit = 32_768

    let from: String
    let fromName: String
    /// Knows where links lead.
    let context: PluginContext

    /// The letter of a push. The same push gives the same Message-ID on each attempt, by which mailboxes find
    /// repeats; what replaces one another on a phone stands in one thread here, below an id that no letter has.
    func letter(about notification: Notification, _ push: Push, to address: String, date: Timestamp) -> MailDraft {
        let isWakeup = push.payload == .wakeup
        var paragraphs: [String] = []
        if !isWakeup, let body = notification.body, !body.isEmpty {
            paragraphs.append(MailText.truncated(body, bytes: Self.textLimit))
        }
        if let page = context.page(ofTap: notification.tap) { paragraphs.append(page) }
        let domain = from.split(separator: "@").last.map(String.init) ?? "farbell.invalid"
        var draft = MailDraft(
            from: .init(name: fromName, address: from), to: .init(address: address),
            subject: isWakeup ? fromName : notification.title, text: paragraphs.joined(separator: "\n\n"), date: date,
            messageID: "\(push.id)@\(domain)")
        let thread = Array("\(push.device.text)/\(notification.collapse)".utf8).base64URL
        draft.references = ["thread.\(thread)@\(domain)"]
        // RFC 3834: no answer from vacation programs; the second one is Exchange's.
        draft.fields = [("Auto-Submitted", "auto-generated"), ("X-Auto-Response-Suppress", "All")]
        switch push.priority {
        case .high: draft.fields.append(("Importance", "high"))
        case .low: draft.fields.append(("Importance", "low"))
        case .normal: break
        }
        return draft
    }
}
