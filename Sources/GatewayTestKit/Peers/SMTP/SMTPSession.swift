internal import Base

/// One connection to the fake mail server. On the loop's thread only.
final class SMTPSession: PeerHandler {
    private enum State {
        case fresh
        /// EHLO was said; TLS may have to come, and the login.
        case greeted
        case ready
        case sender(String)
        case recipient(String, String)
        case content(String, String)
        /// The next line answers a challenge.
        case plain
        case loginName
        case loginPassword(String)
    }

    /// Bytes of the longest command line (RFC 5321 section 4.5.3.1.4), and of a line of a message.
    private static let commandLimit = 512
    private static let lineLimit = 998

    private unowned let connection: PeerConnection
    private let core: FakeSMTPServer.Core
    private var isEncrypted: Bool
    private var state = State.fresh
    private var hasGreeted = false
    private var user: String?
    private var client = ""
    private var input: [UInt8] = []
    private var content: [UInt8] = []

    init(_ connection: PeerConnection, core: FakeSMTPServer.Core, isEncrypted: Bool) {
        (self.connection, self.core, self.isEncrypted) = (connection, core, isEncrypted)
    }

    func opened() {
        // After STARTTLS nothing is said until the client speaks.
        if hasGreeted { return }
        hasGreeted = true
        if strike(.greeting) { return }
        say("220 fake.example ESMTP")
    }

    func closed() {}

    func received(_ bytes: [UInt8]) {
        input += bytes
        while let end = input.firstIndex(of: 0x0A), !connection.isClosed {
            let line = Array(input[..<end])
            input.removeFirst(end + 1)
            guard line.last == 0x0D, !line.dropLast().contains(0x0D) else { return violation("a bare line end") }
            take(Array(line.dropLast()))
        }
        if input.count > 1 << 20 { violation("a line without end") }
    }

    private func take(_ line: [UInt8]) {
        if case .content(let sender, let recipient) = state { return takeContent(line, sender, recipient) }
        guard line.count + 2 <= Self.commandLimit, line.allSatisfy({ (0x20...0x7E).contains($0) }) else {
            return violation("a command that is too long or not ASCII")
        }
        // PIPELINING is not offered: nothing may follow a command before its answer.
        guard input.isEmpty else { return violation("a command before the last one's answer") }
        perform(String(decoding: line, as: UTF8.self))
    }

    private func perform(_ line: String) {
        switch state {
        case .plain: return answerPlain(line)
        case .loginName:
            state = .loginPassword(Self.decoded(line))
            return say("334 UGFzc3dvcmQ6")
        case .loginPassword(let name): return finishLogin(name, Self.decoded(line))
        default: break
        }
        let verb = line.prefix { $0 != " " && $0 != ":" }.uppercased()
        switch verb {
        case "EHLO": hello(String(line.dropFirst(5)))
        case "STARTTLS": startTLS()
        case "AUTH": authenticate(line)
        case "MAIL": mail(line)
        case "RCPT": recipient(line)
        case "DATA": data()
        case "NOOP": say("250 2.0.0 ok")
        case "RSET":
            if !isFresh { state = .ready }
            say("250 2.0.0 ok")
        case "QUIT":
            say("221 2.0.0 bye")
            connection.close()
        default: say("500 5.5.1 unknown command")
        }
    }

    private var isFresh: Bool {
        switch state {
        case .fresh, .greeted: true
        default: false
        }
    }

    private func hello(_ name: String) {
        if strike(.hello) { return }
        guard !name.isEmpty, !name.contains(" ") else { return violation("EHLO without a name") }
        client = name
        let needsTLS = core.configuration.security == .startTLS && !isEncrypted
        let needsLogin = !core.configuration.users.isEmpty && user == nil
        state = needsTLS || needsLogin ? .greeted : .ready
        var lines = ["fake.example greets \(name)", "SIZE \(core.configuration.sizeLimit)", "ENHANCEDSTATUSCODES"]
        if needsTLS {
            lines.append("STARTTLS")
        } else if needsLogin {
            lines.append("AUTH \(core.configuration.mechanisms.joined(separator: " "))")
        }
        for (index, line) in lines.enumerated() { say("250\(index == lines.count - 1 ? " " : "-")\(line)") }
    }

    private func startTLS() {
        guard case .greeted = state, let context = core.context, !isEncrypted else {
            return say("503 5.5.1 no STARTTLS here")
        }
        say("220 2.0.0 begin TLS")
        connection.beginTLS(context)
        isEncrypted = true
        // All is forgotten with STARTTLS (RFC 3207 section 4.2).
        state = .fresh
    }

    private func takeContent(_ line: [UInt8], _ sender: String, _ recipient: String) {
        if line == [0x2E] {
            state = .ready
            return finishContent(sender, recipient)
        }
        guard line.count <= Self.lineLimit + 1 else { return violation("a line of \(line.count) bytes") }
        guard line.allSatisfy({ $0 > 0 && $0 < 0x80 }) else { return violation("bytes that are not ASCII") }
        content += (line.first == 0x2E ? Array(line.dropFirst()) : line) + [0x0D, 0x0A]
    }

    private func finishContent(_ sender: String, _ recipient: String) {
        let fault = core.fault(.content)
        if fault == nil || fault == .acceptThenReset {
            guard content.count <= core.configuration.sizeLimit else { return say("552 5.3.4 too big") }
            core.messages.append(
                FakeSMTPServer.Message(
                    sender: sender, recipient: recipient, content: content, user: user, isEncrypted: isEncrypted,
                    client: client, connection: connection.number, received: core.configuration.time.now))
        }
        content = []
        if let fault { return perform(fault) }
        say("250 2.0.0 queued as \(core.messages.count)")
    }

    // MARK: The envelope

    private func mail(_ line: String) {
        if strike(.sender) { return }
        guard case .ready = state else {
            return say(core.configuration.users.isEmpty || user != nil ? "503 5.5.1 not now" : "530 5.7.0 log in first")
        }
        guard let address = Self.path(line, "MAIL FROM:") else { return violation("a malformed MAIL command") }
        state = .sender(address)
        say("250 2.1.0 ok")
    }

    private func recipient(_ line: String) {
        guard case .sender(let sender) = state else { return say("503 5.5.1 not now") }
        if strike(.recipient) { return }
        guard let address = Self.path(line, "RCPT TO:"), !address.isEmpty else {
            return violation("a malformed RCPT command")
        }
        if core.closedMailboxes.withLock({ $0.contains(address) }) { return say("550 5.1.1 no such mailbox") }
        state = .recipient(sender, address)
        say("250 2.1.5 ok")
    }

    private func data() {
        guard case .recipient(let sender, let recipient) = state else { return say("503 5.5.1 not now") }
        if strike(.data) { return }
        state = .content(sender, recipient)
        say("354 go on")
    }

    /// The address of `MAIL FROM:<address>` with parameters behind; nil for another form.
    private static func path(_ line: String, _ prefix: String) -> String? {
        guard line.uppercased().hasPrefix(prefix + "<"), let end = line.firstIndex(of: ">") else { return nil }
        let address = line[line.index(line.startIndex, offsetBy: prefix.count + 1)..<end]
        let rest = line[line.index(after: end)...]
        guard rest.isEmpty || rest.hasPrefix(" "), address.isEmpty || address.contains("@") else { return nil }
        return String(address)
    }

    // MARK: Login

    private func authenticate(_ line: String) {
        if strike(.authentication) { return }
        let words = line.split(separator: " ").map(String.init)
        guard case .greeted = state, isEncrypted || core.configuration.security == .none, words.count >= 2,
            core.configuration.mechanisms.contains(words[1].uppercased())
        else { return say("504 5.5.4 no such login") }
        switch (words[1].uppercased(), words.dropFirst(2).first) {
        case ("PLAIN", let initial?): answerPlain(initial)
        case ("PLAIN", nil):
            state = .plain
            say("334 ")
        case (_, let initial?):
            state = .loginPassword(Self.decoded(initial))
            say("334 UGFzc3dvcmQ6")
        case (_, nil):
            state = .loginName
            say("334 VXNlcm5hbWU6")
        }
    }

    private func answerPlain(_ line: String) {
        let parts = ([UInt8](base64: line) ?? []).split(separator: 0, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        finishLogin(parts.count == 3 ? parts[1] : "", parts.count == 3 ? parts[2] : "")
    }

    private func finishLogin(_ name: String, _ password: String) {
        state = .greeted
        guard let right = core.configuration.users[name], right == password else {
            return say("535 5.7.8 authentication credentials invalid")
        }
        user = name
        state = .ready
        say("235 2.7.0 welcome")
    }

    private static func decoded(_ line: String) -> String {
        String(decoding: [UInt8](base64: line) ?? [], as: UTF8.self)
    }

    // MARK: Misbehaving

    /// Whether a fault took the place of the answer.
    private func strike(_ step: FakeSMTPServer.Step) -> Bool {
        guard let fault = core.fault(step) else { return false }
        perform(fault)
        return true
    }

    private func perform(_ fault: FakeSMTPServer.Fault) {
        switch fault {
        case .reply(let line): say(line)
        case .farewell(let line):
            say(line)
            connection.close()
        case .hang: connection.isFrozen = true
        case .reset, .acceptThenReset: connection.abort()
        }
    }

    private func violation(_ text: String) {
        core.violations.append(text)
        say("554 5.5.0 \(text)")
        connection.close()
    }

    private func say(_ line: String) { connection.send(line + "\r\n") }
}
