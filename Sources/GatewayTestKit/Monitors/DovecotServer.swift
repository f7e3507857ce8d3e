package import Base
internal import Glibc

/// A real Dovecot 2.3 with a configuration, mail and ports of its own, on loopback. It needs Debian's
/// `dovecot-imapd`, and root, because Dovecot's login processes change their user. Stopped when this object goes.
package final class DovecotServer: Sendable {
    package static let password = "correct horse"
    /// A user who opens every mailbox, as `user*farbell` or by an authorization identity.
    package static let master = (name: "farbell", password: "master of all")
    private static let program = "/usr/sbin/dovecot"

    /// Whether it serves POP3 too, with Debian's `dovecot-pop3d`.
    package static var hasPOP3: Bool { isAvailable && FileSystem.exists("/usr/lib/dovecot/pop3") }

    /// Whether this machine can run it.
    package static var isAvailable: Bool { geteuid() == 0 && FileSystem.exists(program) }

    /// `imap://`, with STARTTLS and with plain-text logins.
    package let port: Int
    /// `imaps://`.
    package let tlsPort: Int
    /// `pop3s://`; nothing listens there unless it was asked for.
    package let popPort: Int
    private let folder: TemporaryFolder
    private let process = Locked<ChildProcess?>(nil)
    private let hasPOP3: Bool

    /// Starts the server.
    /// - Parameters:
    ///   - users: names of its users; all have `password`.
    ///   - hibernateSeconds: nil without imap-hibernate, which lets wake-ups get lost.
    ///   - pushURL: where the driver "ox" of the plugin push_notification tells of deliveries to users that
    ///     `subscribe` was called for; nil without the plugin.
    ///   - pop3: serves POP3 too.
    /// - Throws: `PeerError`, `DeadlineMissed`.
    package init(
        users: [String], identity: TestIdentity, hibernateSeconds: Int? = nil, pushURL: String? = nil,
        pop3: Bool = false
    ) async throws {
        folder = try TemporaryFolder()
        // It comes back on the same ports after a stop.
        (port, tlsPort, popPort) = (try ServerPort.next(), try ServerPort.next(), try ServerPort.next())
        hasPOP3 = pop3
        // The login processes run as another user and must reach the sockets in here.
        for name in ["", "run", "state", "mail"] {
            let path = name.isEmpty ? folder.path : folder.file(name)
            if !name.isEmpty { _ = unsafe mkdir(path, 0o755) }
            guard unsafe chmod(path, 0o755) == 0 else { throw PeerError(.file, FileSystem.lastError) }
        }
        // 65534 is nobody, who owns the mail.
        _ = unsafe chown(folder.file("mail"), 65_534, 65_534)
        try folder.write(users.map { "\($0):{PLAIN}\(Self.password)::::::\n" }.joined(), to: "passwd")
        _ = unsafe chmod(folder.file("passwd"), 0o644)
        try folder.write("\(Self.master.name):{PLAIN}\(Self.master.password)::::::\n", to: "masters")
        _ = unsafe chmod(folder.file("masters"), 0o644)
        var configuration = Self.configuration(
            folder.path, port, tlsPort, identity, hibernateSeconds: hibernateSeconds)
        if pop3 { configuration += Self.pop3(popPort) }
        configuration += try tokens()
        configuration += pushURL.map(Self.pushConfiguration) ?? ""
        try folder.write(configuration, to: "dovecot.conf")
        try await start()
    }

    deinit { process.withLock { $0 }?.terminate() }

    /// Starts it again after `stop`.
    /// - Throws: `PeerError`, `DeadlineMissed`.
    package func start() async throws {
        let child = try await ChildProcess(Self.program, ["-F", "-c", folder.file("dovecot.conf")])
        process.withLock { $0 = child }
        try await Eventually.wait("dovecot listens: \(child.errors) \(log)") {
            if let exit = child.exit { throw PeerError(.process, "dovecot ended: \(exit) \(child.errors) \(log)") }
            return Self.answers(port) && Self.answers(tlsPort) && (!hasPOP3 || Self.answers(popPort))
        }
    }

    /// Ends the server and all its connections; the mail stays.
    /// - Throws: `DeadlineMissed`.
    package func stop() async throws {
        guard let child = process.withLock({ $0 }) else { return }
        child.terminate()
        try await child.waitForExit(deadline: .seconds(60))
        process.withLock { $0 = nil }
    }

    /// Delivers a message as a mail server does, with dovecot-lda.
    /// - Throws: `PeerError` when that fails.
    package func deliver(_ message: [UInt8], to user: String, folder mailbox: String = "INBOX") async throws {
        let name = "message-\(UInt64.random(in: 0 ... .max))"
        try folder.write(message, to: name)
        _ = unsafe chmod(folder.file(name), 0o644)
        try await run(
            "/usr/lib/dovecot/dovecot-lda",
            ["-c", folder.file("dovecot.conf"), "-d", user, "-m", mailbox, "-p", folder.file(name)])
        _ = unsafe unlink(folder.file(name))
    }

    /// Lets the driver "ox" tell of a user's deliveries, as the METADATA of a mailbox asks for.
    /// - Throws: `PeerError` when that fails.
    package func subscribe(_ user: String) async throws {
        try await administer([
            "mailbox", "metadata", "set", "-u", user, "-s", "", "/private/vendor/vendor.dovecot/http-notify",
            "user=\(user)",
        ])
    }

    /// Reads a message elsewhere: sets `\Seen` on those that a search finds, such as `UID 5` or `ALL`.
    /// - Throws: `PeerError` when that fails.
    package func markSeen(_ search: [String], of user: String, mailbox: String = "INBOX") async throws {
        try await administer(["flags", "add", "-u", user, "\\Seen", "mailbox", mailbox] + search)
    }

    /// Removes the messages a search finds.
    /// - Throws: `PeerError` when that fails.
    package func expunge(_ search: [String], of user: String, mailbox: String = "INBOX") async throws {
        try await administer(["expunge", "-u", user, "mailbox", mailbox] + search)
    }

    /// Runs `doveadm` with these arguments and returns what it prints.
    /// - Throws: `PeerError` when that fails.
    @discardableResult
    package func administer(_ arguments: [String]) async throws -> [String] {
        try await run("/usr/bin/doveadm", ["-c", folder.file("dovecot.conf")] + arguments)
    }

    /// Gives a user another password; takes effect at the next start.
    /// - Throws: `PeerError` when the file cannot be written.
    package func setPassword(_ password: String, of user: String) throws {
        let path = folder.file("passwd")
        let lines = (FileSystem.contents(of: path, limit: 1 << 20) ?? []).split(separator: 10).map { line in
            line.starts(with: Array("\(user):".utf8))
                ? "\(user):{PLAIN}\(password)::::::\n" : String(decoding: line, as: UTF8.self) + "\n"
        }
        try folder.write(lines.joined(), to: "passwd")
        _ = unsafe chmod(path, 0o644)
    }

    /// The folder of a user's Maildir, with `new` and `cur` in it.
    package func maildir(of user: String) -> String { folder.file("mail/\(user)") }

    /// The server's log, for messages of failed tests.
    package var log: String {
        FileSystem.contents(of: folder.file("dovecot.log"), limit: 1 << 20).map { String(decoding: $0, as: UTF8.self) }
            ?? ""
    }

    @discardableResult
    private func run(_ program: String, _ arguments: [String]) async throws -> [String] {
        let child = try await ChildProcess(program, arguments)
        child.closeInput()
        guard case .code(0) = try await child.waitForExit() else {
            throw PeerError(.process, "\(program): \(child.errors.joined(separator: " "))")
        }
        return child.output
    }

    package static func answers(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        return unsafe withUnsafeBytes(of: &address) { bytes in
            unsafe connect(
                descriptor, bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count)) == 0
        }
    }

    private static func pushConfiguration(_ url: String) -> String {
        """
        mail_attribute_dict = file:%h/dovecot-attributes
        protocol lda {
          mail_plugins = notify push_notification
        }
        plugin {
          push_notification_driver = ox:url=\(url) timeout_msecs=5000
        }

        """
    }

    private static func configuration(
        _ folder: String, _ port: Int, _ tlsPort: Int, _ identity: TestIdentity, hibernateSeconds: Int?
    ) -> String {
        """
        base_dir = \(folder)/run
        state_dir = \(folder)/state
        log_path = \(folder)/dovecot.log
        protocols = imap
        listen = 127.0.0.1
        ssl = yes
        ssl_cert = <\(identity.certificateFile)
        ssl_key = <\(identity.keyFile)
        disable_plaintext_auth = no
        auth_mechanisms = plain login xoauth2 oauthbearer
        auth_master_user_separator = *
        mail_uid = 65534
        mail_gid = 65534
        first_valid_uid = 1
        first_valid_gid = 1
        mail_location = maildir:\(folder)/mail/%n
        mail_max_userip_connections = 1000
        passdb {
          driver = passwd-file
          args = scheme=PLAIN username_format=%u \(folder)/passwd
        }
        passdb {
          driver = passwd-file
          args = scheme=PLAIN username_format=%u \(folder)/masters
          master = yes
        }
        namespace inbox {
          inbox = yes
          separator = /
          mailbox Junk {
            auto = create
            special_use = \\Junk
          }
          mailbox Sent {
            auto = create
            special_use = \\Sent
          }
          mailbox Work {
            auto = create
          }
        }
        userdb {
          driver = static
          args = uid=65534 gid=65534 home=\(folder)/mail/%n
        }
        \(hibernateSeconds.map { "imap_hibernate_timeout = \($0) secs" } ?? "")
        service imap-hibernate {
          unix_listener imap-hibernate {
            mode = 0666
          }
        }
        service imap {
          unix_listener imap-master {
            mode = 0666
          }
        }
        service imap-login {
          inet_listener imap {
            port = \(port)
          }
          inet_listener imaps {
            port = \(tlsPort)
            ssl = yes
          }
        }

        """
    }

    private static func pop3(_ port: Int) -> String {
        """
        protocols = imap pop3
        service pop3-login {
          inet_listener pop3 {
            port = 0
          }
          inet_listener pop3s {
            port = \(port)
            ssl = yes
          }
        }

        """
    }

    // MARK: Tokens

    private static let tokenKey = Array("a key of thirty-two bytes or more".utf8)

    /// Lets users log in with the tokens that `token` makes, which the server checks by itself.
    private func tokens() throws -> String {
        var path = folder.file("keys")
        for name in ["", "/default", "/default/HS256"] { _ = unsafe mkdir(path + name, 0o755) }
        path += "/default/HS256/default"
        try folder.write(Self.tokenKey.base64, to: "keys/default/HS256/default")
        _ = unsafe chmod(path, 0o644)
        try folder.write(
            """
            introspection_mode = local
            local_validation_key_dict = fs:posix:prefix=\(folder.file("keys"))/
            username_attribute = sub

            """, to: "oauth2.conf")
        _ = unsafe chmod(folder.file("oauth2.conf"), 0o644)
        return """
            passdb {
              driver = oauth2
              mechanisms = xoauth2 oauthbearer
              args = \(folder.file("oauth2.conf"))
            }

            """
    }

    /// An access token (a JWT) for a user, good until then.
    package static func token(of user: String, until end: Timestamp) -> String {
        let head = Array(#"{"alg":"HS256","typ":"JWT"}"#.utf8).base64URL
        let body = Array(#"{"sub":"\#(user)","iat":\#(end.seconds - 7200),"exp":\#(end.seconds)}"#.utf8).base64URL
        let signature = MessageCrypto.hmacSHA256(Array("\(head).\(body)".utf8), key: tokenKey)
        return "\(head).\(body).\(signature.base64URL)"
    }
}
