internal import Gateway
internal import Outbound

/// What a mail server's answer means for a push (RFC 5321 section 4.2, RFC 3463).
enum SMTPVerdict {
    /// There is no such mailbox, or no such domain: bad mailbox, bad system, bad syntax, moved, null MX.
    private static let deadAddress: Set<String> = ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"]
    /// Login wanted, too weak, wrong, encryption wanted (RFC 4954 section 6).
    private static let loginStatus: Set<Int> = [530, 534, 535, 538]

    static func report(_ verdict: MailVerdict) -> PushReport {
        switch verdict {
        case .accepted(let reply): PushReport(.delivered, status: reply.status)
        case .refused(let step, let reply): refusal(step, reply)
        }
    }

    private static func refusal(_ step: MailVerdict.Step, _ reply: MailReply) -> PushReport {
        let (outcome, hop) = meaning(step, reply)
        return PushReport(outcome, status: reply.status, reason: reply.enhanced ?? "\(step.rawValue)_refused", hop: hop)
    }

    private static func meaning(_ step: MailVerdict.Step, _ reply: MailReply) -> (PushOutcome, PushHop) {
        guard (500..<600).contains(reply.status) else {
            // 421 closes the server's doors for everybody; another 4xx at the address, such as greylisting or a
            // full mailbox, is this receiver's.
            let isReceivers = step == .recipient && reply.status != 421
            return isReceivers ? (.retry(after: nil, .device), .token) : (.retry(after: nil, .service), .service)
        }
        if loginStatus.contains(reply.status) { return (.credential, .credential) }
        switch step {
        case .recipient:
            let isDead = [550, 551, 553].contains(reply.status) && deadAddress.contains(reply.enhanced ?? "")
            return (isDead ? .gone(since: nil) : .rejected, .token)
        case .sender where reply.status == 552 || reply.enhanced == "5.3.4": return (.rejected, .payload)
        // The server does not take mail from `from`, and would not take the next one either.
        case .sender: return (.credential, .credential)
        case .data, .content: return (.rejected, .payload)
        }
    }

    static func report(_ error: any Error) -> PushReport {
        guard let error = error as? MailSubmissionError else {
            return PushReport(.retry(after: nil, .device), reason: "cancelled", hop: .service)
        }
        let code = error.cause.code
        // The message was out and its answer is missing: it goes out again under the same Message-ID.
        if error.isOutcomeUnknown {
            return PushReport(.retry(after: nil, .service), reason: "outcome_unknown", hop: .service)
        }
        let (outcome, hop): (PushOutcome, PushHop) =
            switch code {
            case .nameResolution: (.retry(after: nil, .service), .nameResolution)
            case .connect, .timeout, .connectionLost: (.retry(after: nil, .service), .tcp)
            case .tls: (.retry(after: nil, .service), .tls)
            case .loginRefused, .loginUnsupported: (.credential, .credential)
            case .loginTemporary, .greetingRefused, .protocolError, .overloaded:
                (.retry(after: nil, .service), .service)
            case .stopped, .closed: (.retry(after: nil, .device), .service)
            case .addressRefused, .invalidRequest: (.rejected, .payload)
            }
        return PushReport(outcome, reason: code.rawValue, hop: hop)
    }
}
