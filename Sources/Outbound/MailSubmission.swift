package import Base

/// A message for a mail server to carry (RFC 6409).
package struct MailSubmission: Sendable {
    /// Where to; its service is `smtp`.
    package var server: MailConnectionRequest
    /// The address that hears of what cannot be delivered (`MAIL FROM`).
    package var sender: String
    /// Who gets it (`RCPT TO`).
    package var recipient: String
    /// Header, empty line and text; each line ends with CRLF and has at most 998 bytes, all of them ASCII.
    package var message: [UInt8]
    /// For all of it, from the call on.
    package var timeout: Duration = .seconds(28)

    package init(server: MailConnectionRequest, sender: String, recipient: String, message: [UInt8]) {
        (self.server, self.sender, self.recipient, self.message) = (server, sender, recipient, message)
    }
}

/// What a mail server said to a command.
package struct MailReply: Sendable, Hashable {
    /// 200...599.
    package let status: Int
    /// The enhanced status code (RFC 3463), such as `5.1.1`; nil where the server gives none.
    package let enhanced: String?
    /// The words of the first line: at most 300 characters, without controls. They may name the recipient.
    package let text: String

    package init(status: Int, enhanced: String?, text: String) {
        (self.status, self.enhanced, self.text) = (status, enhanced, text)
    }
}

/// How a submission ended that the server answered.
package enum MailVerdict: Sendable, Hashable {
    /// The steps at which a server may refuse.
    package enum Step: String, Sendable, Hashable, CaseIterable {
        /// Our own address.
        case sender
        /// The receiver's address.
        case recipient
        /// Taking a message at all.
        case data
        /// This message.
        case content
    }

    /// The server has taken over.
    case accepted(MailReply)
    case refused(Step, MailReply)
}

/// Why a submission got no verdict.
package struct MailSubmissionError: Error, Sendable, CustomStringConvertible {
    package let cause: MailConnectionError
    /// The whole message went out and its answer did not come: the server may have taken it.
    package let isOutcomeUnknown: Bool

    package var description: String { "\(cause)\(isOutcomeUnknown ? ", outcome unknown" : "")" }
}

extension HTTPClient {
    /// Hands a message to a mail server, over a connection of its own, and returns what the server says of it.
    ///
    /// Connection, TLS and login are libcurl's; the four commands after them are ours. libcurl's own transfer ends
    /// with `QUIT`, for whose answer it blocks its thread (up to two minutes: `smtp_disconnect` of 7.88), and that
    /// thread is everybody's.
    /// - Parameter time: the clock of the time-out; must advance with real time.
    /// - Throws: `MailSubmissionError`; `CancellationError`.
    package func submitMail(_ submission: MailSubmission, time: any TimeSource) async throws -> MailVerdict {
        let deadline = time.now + submission.timeout
        let progress = Locked(MailDialogue.Step.greeting)
        do {
            let dialogue = try MailDialogue(submission)
            var server = submission.server
            server.timeout = min(server.timeout, submission.timeout)
            let connection = try await connectMail(server)
            defer { connection.close() }
            return try await withThrowingTaskGroup(of: MailVerdict?.self) { group in
                group.addTask {
                    // A peer that reads nothing holds up a send for as long as it likes.
                    try? await time.sleep(until: deadline)
                    return nil
                }
                group.addTask {
                    var dialogue = dialogue
                    return try await dialogue.run(over: connection, until: deadline, progress)
                }
                defer { group.cancelAll() }
                guard let first = try await group.next(), let verdict = first else {
                    try Task.checkCancellation()
                    throw MailConnectionError(.timeout, "the server took too long")
                }
                return verdict
            }
        } catch let error as MailConnectionError {
            throw MailSubmissionError(cause: error, isOutcomeUnknown: progress.withLock { $0 } == .content)
        }
    }
}

extension MailDialogue {
    /// Speaks until there is a verdict.
    /// - Parameter progress: told when the whole message has been sent.
    /// - Throws: `MailConnectionError`, `CancellationError`.
    fileprivate mutating func run(
        over connection: MailConnection, until deadline: Moment, _ progress: Locked<Step>
    ) async throws -> MailVerdict {
        var command = begin()
        while true {
            try await connection.send(command)
            progress.withLock { [step] in $0 = step }
            var next: Action?
            while next == nil {
                guard let bytes = try await connection.receive(until: deadline) else {
                    throw MailConnectionError(.timeout, "the server took too long")
                }
                guard !bytes.isEmpty else {
                    throw MailConnectionError(.connectionLost, "the server closed the connection")
                }
                next = try received(bytes)
            }
            switch next {
            case .send(let bytes): command = bytes
            case .finish(let verdict):
                // Politeness only: the verdict stands, and nobody waits for the answer.
                _ = try? await connection.send(Array("QUIT\r\n".utf8))
                return verdict
            case nil: break
            }
        }
    }
}
