internal import Base

/// One connection to the fake POP3 server. On the loop's thread only.
final class POP3Peer: PeerHandler {
    private enum State {
        case new
        case password(String)
        /// The next line answers a SASL challenge.
        case challenge(String)
        /// OAuth failed and the error was sent as a challenge.
        case refusing
        case open(String, [FakePOP3Server.Message])
    }

    private unowned let connection: PeerConnection
    private let core: FakePOP3Server.Core
    private var isEncrypted: Bool
    private var state = State.new
    private var hasGreeted = false
    private var input: [UInt8] = []
    private var headers = 0

    init(_ connection: PeerConnection, core: FakePOP3Server.Core, isEncrypted: Bool) {
        (self.connection, self.core, self.isEncrypted) = (connection, core, isEncrypted)
    }

    private var fault: FakePOP3Server.Fault? { core.fault.withLock { $0 } }

    func opened() {
        if hasGreeted { return }
        hasGreeted = true
        if case .greeting(let text) = fault {
            say("-ERR \(text)")
            return connection.close()
        }
        say("+OK fake ready")
    }

    func closed() {
        if case .open(let user, _) = state { core.open.withLock { _ = $0.remove(user) } }
        state = .new
    }

    func received(_ bytes: [UInt8]) {
        input += bytes
        while let end = input.firstIndex(of: 0x0A), !connection.isClosed {
            let line = Array(input[..<end])
            input.removeFirst(end + 1)
            // RFC 2449 section 4: commands have up to 255 bytes; SASL lines may be longer (RFC 5034).
            guard line.last == 0x0D, !line.dropLast().contains(0x0D), line.count < 16_384 else {
                core.violations.append("a bare line end, or a line too long")
                return connection.close()
            }
            if fault != .silence { perform(String(decoding: line.dropLast(), as: UTF8.self)) }
        }
    }

    private func say(_ line: String) { connection.send("\(line)\r\n") }

    private func say(lines: [String]) { connection.send(lines.joined(separator: "\r\n") + "\r\n.\r\n") }

    private func perform(_ line: String) {
        let words = line.split(separator: " ", maxSplits: 1).map(String.init)
        let verb = words.first?.uppercased() ?? ""
        let argument = words.count > 1 ? words[1] : ""
        switch state {
        case .challenge(let mechanism): answerChallenge(mechanism, line)
        case .refusing: refuse()
        case .password(let user):
            guard verb == "PASS" else { return say("-ERR expected PASS") }
            logIn(user, isRight: core.configuration.users[user] == argument)
        case .new: authorize(verb, argument)
        case .open(let user, let messages): transact(verb, argument, user, messages)
        }
    }

    private func capabilities() {
        var lines = ["+OK", "UIDL", "USER"]
        if core.configuration.offersTop { lines.append("TOP") }
        if !core.configuration.mechanisms.isEmpty {
            lines.append("SASL \(core.configuration.mechanisms.joined(separator: " "))")
        }
        if core.configuration.security == .startTLS && !isEncrypted { lines.append("STLS") }
        if let delay = core.configuration.loginDelay { lines.append("LOGIN-DELAY \(delay)") }
        say(lines: lines)
    }

    // MARK: Login

    private func authorize(_ verb: String, _ argument: String) {
        let needsTLS = core.configuration.security == .startTLS && !isEncrypted
        switch verb {
        case "CAPA": capabilities()
        case "STLS":
            guard needsTLS, let context = core.context else { return say("-ERR not here") }
            say("+OK begin TLS")
            connection.beginTLS(context)
            isEncrypted = true
        case "QUIT":
            say("+OK bye")
            connection.close()
        case "USER", "AUTH":
            if needsTLS {
                core.violations.append("a login before TLS")
                return say("-ERR TLS first")
            }
            if verb == "USER" {
                state = .password(argument)
                return say("+OK")
            }
            let parts = argument.split(separator: " ").map(String.init)
            guard let mechanism = parts.first?.uppercased(), core.configuration.mechanisms.contains(mechanism) else {
                return say("-ERR unknown mechanism")
            }
            if parts.count > 1 { return answerChallenge(mechanism, parts[1]) }
            state = .challenge(mechanism)
            say("+ ")
        default: say("-ERR log in first")
        }
    }

    private func answerChallenge(_ mechanism: String, _ line: String) {
        state = .new
        guard line != "*", let bytes = [UInt8](base64: line == "=" ? "" : line) else { return say("-ERR cancelled") }
        if mechanism == "PLAIN" {
            let parts = bytes.split(separator: 0, omittingEmptySubsequences: false).map {
                String(decoding: $0, as: UTF8.self)
            }
            guard parts.count == 3 else { return say("-ERR malformed") }
            if !parts[0].isEmpty, parts[0] != parts[1] {
                let isMaster = core.configuration.master.map { $0 == (parts[1], parts[2]) } ?? false
                return logIn(parts[0], isRight: isMaster && core.configuration.users[parts[0]] != nil)
            }
            return logIn(parts[1], isRight: core.configuration.users[parts[1]] == parts[2])
        }
        var name = ""
        var token = ""
        for part in bytes.split(separator: 1).map({ String(decoding: $0, as: UTF8.self) }) {
            if part.hasPrefix("user=") { name = String(part.dropFirst(5)) }
            if part.hasPrefix("n,a=") { name = String(part.dropFirst(4).prefix { $0 != "," }) }
            if part.hasPrefix("auth=Bearer ") { token = String(part.dropFirst(12)) }
        }
        if core.configuration.acceptsToken(name, token) { return logIn(name, isRight: true) }
        state = .refusing
        say("+ \(Array(#"{"status":"401","schemes":"bearer"}"#.utf8).base64)")
    }

    private func refuse(_ text: String = "[AUTH] wrong credentials") {
        state = .new
        core.counter.withLock { $0.failedLogins += 1 }
        say("-ERR \(text)")
    }

    private func logIn(_ user: String, isRight: Bool) {
        if case .login(let text) = fault { return refuse(text) }
        guard isRight else { return refuse() }
        guard core.open.withLock({ $0.insert(user).inserted }) else {
            state = .new
            return say("-ERR [IN-USE] the mailbox is open elsewhere")
        }
        core.counter.withLock { $0.logins += 1 }
        state = .open(user, core.mailboxes.withLock { $0[user] ?? [] })
        say("+OK logged in")
    }

    // MARK: Mail

    private func transact(_ verb: String, _ argument: String, _ user: String, _ messages: [FakePOP3Server.Message]) {
        if fault == .nonsense { return say("* OK [UIDNEXT 1] this is another protocol") }
        switch verb {
        case "CAPA": capabilities()
        case "NOOP": say("+OK")
        case "STAT": say("+OK \(messages.count) \(messages.reduce(0) { $0 + $1.bytes.count })")
        case "UIDL" where argument.isEmpty: list(messages)
        case "TOP": top(argument, messages)
        case "QUIT":
            core.counter.withLock { $0.farewells += 1 }
            say("+OK bye")
            connection.close()
        default:
            core.violations.append("\(verb) \(argument)")
            say("-ERR not here")
        }
    }

    private func list(_ messages: [FakePOP3Server.Message]) {
        switch fault {
        case .list(let text): say("-ERR \(text)")
        case .emptyList: say(lines: ["+OK"])
        case .endlessList:
            connection.send("+OK\r\n")
            for block in 0..<100 {
                connection.send((1...100).map { "\(block * 100 + $0) id\(block * 100 + $0)\r\n" }.joined())
            }
        default: say(lines: ["+OK"] + messages.enumerated().map { "\($0 + 1) \($1.uid)" })
        }
    }

    private func top(_ argument: String, _ messages: [FakePOP3Server.Message]) {
        let numbers = argument.split(separator: " ").compactMap { Int($0) }
        guard numbers.count == 2, numbers[1] == 0 else {
            core.violations.append("TOP \(argument)")
            return say("-ERR syntax")
        }
        guard core.configuration.offersTop else { return say("-ERR unknown command") }
        guard messages.indices.contains(numbers[0] - 1) else { return say("-ERR no such message") }
        headers += 1
        core.counter.withLock { $0.headers += 1 }
        if case .cutAfterHeaders(let count) = fault, headers > count { return connection.abort() }
        let bytes = messages[numbers[0] - 1].bytes
        let end = bytes.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound ?? bytes.endIndex
        var answer = Array("+OK\r\n".utf8)
        for line in bytes[..<end].split(separator: 0x0A, omittingEmptySubsequences: false).dropLast() {
            if line.first == 0x2E { answer.append(0x2E) }
            answer += line + [0x0A]
        }
        connection.send(answer + Array(".\r\n".utf8))
    }
}
