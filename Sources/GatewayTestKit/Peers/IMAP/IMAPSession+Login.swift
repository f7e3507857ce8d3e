internal import Base

extension IMAPSession {
    func login(_ command: IMAPCommand) {
        let tag = command.tag
        guard case .new = state else { return connection.send("\(tag) BAD already authenticated\r\n") }
        switch command.name {
        case "STARTTLS":
            guard let context = core.upgrade, !isEncrypted else { return connection.send("\(tag) BAD no TLS here\r\n") }
            connection.send("\(tag) OK begin TLS\r\n")
            connection.beginTLS(context)
            isEncrypted = true
        case "LOGIN":
            guard command.arguments.count == 2 else { return connection.send("\(tag) BAD two arguments\r\n") }
            finish(tag, command.arguments[0], password: command.arguments[1])
        default:
            guard let mechanism = command.arguments.first?.uppercased(),
                core.configuration.mechanisms.contains(mechanism)
            else { return connection.send("\(tag) NO [CANNOT] unknown mechanism\r\n") }
            if command.arguments.count > 1, core.configuration.offersInitialResponse {
                answerChallenge(tag, mechanism, command.arguments[1])
            } else {
                state = .authenticating(tag: tag, mechanism: mechanism)
                connection.send("+ \r\n")
            }
        }
    }

    func answerChallenge(_ tag: String, _ mechanism: String, _ line: String) {
        state = .new
        guard line != "*", let bytes = [UInt8](base64: line == "=" ? "" : line) else {
            return connection.send("\(tag) BAD cancelled\r\n")
        }
        if mechanism == "PLAIN" {
            let parts = bytes.split(separator: 0, omittingEmptySubsequences: false).map {
                String(decoding: $0, as: UTF8.self)
            }
            guard parts.count == 3 else { return connection.send("\(tag) BAD malformed\r\n") }
            return finish(tag, parts[1], password: parts[2])
        }
        // XOAUTH2 `user=U^Aauth=Bearer T^A^A`, OAUTHBEARER (RFC 7628) `n,a=U,^A...auth=Bearer T^A^A`.
        var name = ""
        var token = ""
        for part in bytes.split(separator: 1).map({ String(decoding: $0, as: UTF8.self) }) {
            if part.hasPrefix("user=") { name = String(part.dropFirst(5)) }
            if part.hasPrefix("n,a=") { name = String(part.dropFirst(4).prefix { $0 != "," }) }
            if part.hasPrefix("auth=Bearer ") { token = String(part.dropFirst(12)) }
        }
        if core.configuration.acceptsToken(name, token), core.faults(of: name).refusesLogin == nil {
            return welcome(tag, name)
        }
        core.count { $0.failedLogins += 1 }
        if let refusal = core.faults(of: name).refusesLogin { return connection.send("\(tag) \(refusal)\r\n") }
        state = .refusing(tag: tag)
        connection.send("+ \(Array(#"{"status":"401","schemes":"bearer"}"#.utf8).base64)\r\n")
    }

    private func finish(_ tag: String, _ name: String, password: String) {
        if core.configuration.requiresTLS, !isEncrypted {
            return connection.send("\(tag) NO [PRIVACYREQUIRED] TLS first\r\n")
        }
        if let refusal = core.faults(of: name).refusesLogin {
            core.count { $0.failedLogins += 1 }
            return connection.send("\(tag) \(refusal)\r\n")
        }
        guard core.accepts(name, password: password) else {
            core.count { $0.failedLogins += 1 }
            return connection.send("\(tag) NO [AUTHENTICATIONFAILED] invalid credentials\r\n")
        }
        welcome(tag, name)
    }

    private func welcome(_ tag: String, _ name: String) {
        user = name
        state = .authenticated
        core.count { $0.logins += 1 }
        core.remember(self, name)
        connection.pacing = core.faults(of: name).pieces
        if core.configuration.sendsCapabilitiesAfterLogin {
            connection.send("\(tag) OK [CAPABILITY \(core.capabilities(self))] logged in\r\n")
        } else {
            connection.send("\(tag) OK logged in\r\n")
        }
    }
}
