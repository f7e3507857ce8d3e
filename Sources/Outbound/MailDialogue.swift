internal import Base

/// What is said to a mail server after the login (RFC 5321): one message for one receiver. No clock, no socket.
struct MailDialogue: Sendable {
    /// The command whose answer is awaited.
    enum Step: Sendable {
        /// None yet.
        case greeting
        case sender
        case recipient
        case data
        case content
    }

    enum Action: Sendable, Equatable {
        case send([UInt8])
        case finish(MailVerdict)
    }

    /// Bytes of the longest line of an answer (RFC 5321 section 4.5.3.1.5 says 512), and lines of one answer.
    static let lineLimit = 2048
    static let linesLimit = 100

    private let sender: String
    private let recipient: String
    private let content: [UInt8]
    private(set) var step = Step.greeting
    private var splitter = LineSplitter(limit: lineLimit)
    private var lines: [(status: Int, text: String)] = []

    /// - Throws: `MailConnectionError` with `invalidRequest` for addresses and messages that would break the dialogue.
    init(_ submission: MailSubmission) throws(MailConnectionError) {
        for address in [submission.sender, submission.recipient] {
            let isClean = address.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x3C && $0 != 0x3E }
            guard isClean, !address.isEmpty else {
                throw MailConnectionError(.invalidRequest, "an address has a forbidden character")
            }
        }
        (sender, recipient) = (submission.sender, submission.recipient)
        content = try Self.transparent(submission.message)
    }

    /// The first command.
    mutating func begin() -> [UInt8] {
        step = .sender
        return Array("MAIL FROM:<\(sender)>\r\n".utf8)
    }

    /// Takes what the server sent; nil while the answer is not complete.
    /// - Throws: `MailConnectionError` with `protocolError` for what is no SMTP.
    mutating func received(_ bytes: [UInt8]) throws(MailConnectionError) -> Action? {
        for piece in splitter.feed(bytes) {
            guard case .line(let line) = piece else { throw Self.violation("a line is too long") }
            if let reply = try take(line) { return next(reply) }
        }
        return nil
    }

    /// The next line of an answer; the answer when it is the last.
    private mutating func take(_ line: [UInt8]) throws(MailConnectionError) -> MailReply? {
        let text = String(decoding: line, as: UTF8.self)
        guard line.count >= 3, let status = Int(String(decoding: line[..<3], as: UTF8.self)),
            (200..<600).contains(status), line.count == 3 || line[3] == 0x20 || line[3] == 0x2D,
            lines.first.map({ $0.status == status }) ?? true
        else { throw Self.violation("the answer is not SMTP") }
        lines.append((status, String(text.dropFirst(4))))
        guard line.count > 3 && line[3] == 0x2D else {
            defer { lines = [] }
            return Self.reply(status, lines[0].text)
        }
        guard lines.count < Self.linesLimit else { throw Self.violation("the answer has too many lines") }
        return nil
    }

    private mutating func next(_ reply: MailReply) -> Action {
        switch (step, reply.status) {
        case (.sender, 200..<300):
            step = .recipient
            return .send(Array("RCPT TO:<\(recipient)>\r\n".utf8))
        case (.recipient, 200..<300):
            step = .data
            return .send(Array("DATA\r\n".utf8))
        case (.data, 354):
            step = .content
            return .send(content)
        case (.content, 200..<300): return .finish(.accepted(reply))
        case (.recipient, _): return .finish(.refused(.recipient, reply))
        case (.data, _): return .finish(.refused(.data, reply))
        case (.content, _): return .finish(.refused(.content, reply))
        case (.greeting, _), (.sender, _): return .finish(.refused(.sender, reply))
        }
    }

    private static func reply(_ status: Int, _ text: String) -> MailReply {
        let word = text.prefix { $0 != " " }
        let parts = word.split(separator: ".", omittingEmptySubsequences: false)
        let isCode =
            parts.count == 3 && parts[0].utf8.count == 1
            && parts.allSatisfy { (1...3).contains($0.utf8.count) && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }
        let scalars = text.unicodeScalars.filter {
            $0.properties.generalCategory != .control && $0.properties.generalCategory != .format
        }
        let shown = String(String(String.UnicodeScalarView(scalars)).prefix(300))
        return MailReply(status: status, enhanced: isCode ? String(word) : nil, text: shown)
    }

    private static func violation(_ text: String) -> MailConnectionError { MailConnectionError(.protocolError, text) }

    /// A message as `DATA` carries it: a dot before each line that begins with one (RFC 5321 section 4.5.2), the
    /// end mark behind. A line end that is not CRLF is refused, because some servers take it for one, and a text
    /// could then end the message and speak commands of its own.
    static func transparent(_ message: [UInt8]) throws(MailConnectionError) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(message.count + 64)
        var length = 0
        for (index, byte) in message.enumerated() {
            let isLineEnd = byte == 0x0A
            if isLineEnd != (index > 0 && message[index - 1] == 0x0D) {
                throw MailConnectionError(.invalidRequest, "a line of the message does not end with CRLF")
            }
            if byte == 0 || byte > 0x7F {
                throw MailConnectionError(.invalidRequest, "the message is not ASCII")
            }
            if length == 0 && byte == 0x2E { result.append(0x2E) }
            result.append(byte)
            length = isLineEnd ? 0 : length + 1
            // 998 and the CR.
            guard length <= 999 else { throw MailConnectionError(.invalidRequest, "a line has more than 998 bytes") }
        }
        if length > 0 { throw MailConnectionError(.invalidRequest, "the message does not end with a line end") }
        return result + Array(".\r\n".utf8)
    }
}
