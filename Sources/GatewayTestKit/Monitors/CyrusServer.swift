internal import Base
internal import Glibc

/// A real Cyrus 3.6 with JMAP, with a configuration, mail and a port of its own, on loopback. Debian's packages exclude
/// Dovecot's, so `Scripts/unpack-cyrus` puts them into a folder of their own. Stopped when this object goes.
package final class CyrusServer: Sendable {
    package static let password = "correct horse"

    /// Where it was unpacked; nil where it was not.
    private static var installation: String? {
        let variables: KeyValuePairs = [
            "FARBELL_CYRUS": "", "XDG_CACHE_HOME": "/farbell/cyrus", "HOME": "/.cache/farbell/cyrus",
        ]
        let named = variables.compactMap { name, suffix in
            unsafe getenv(name).map { unsafe String(cString: $0) + suffix }
        }
        return (named + ["/var/cache/farbell/cyrus"]).first { FileSystem.exists("\($0)/complete") }
    }

    /// Whether this machine can run it.
    package static var isAvailable: Bool { installation != nil }

    package let port: Int
    /// `http://127.0.0.1:PORT`.
    package var origin: String { "http://127.0.0.1:\(port)" }
    private let folder: TemporaryFolder
    private let root: String
    private let environment: [String: String]
    private let process = Locked<ChildProcess?>(nil)

    /// The user it runs as: it refuses to be root. 65534 is nobody.
    private static let asUser =
        geteuid() == 0 ? ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : ["/usr/bin/env"]

    /// Starts the server.
    /// - Parameter users: their names; all have `password`. Cyrus makes an account with its first message.
    /// - Throws: `PeerError`, `DeadlineMissed`.
    package init(users: [String]) async throws {
        guard let installation = Self.installation,
            let libraries = FileSystem.contents(
                of: "\(installation)/complete", limit: 4096)
        else { throw PeerError(.file, "Cyrus was not unpacked: run Scripts/unpack-cyrus") }
        root = "\(installation)/root"
        let path = String(decoding: libraries, as: UTF8.self).trimmingSpace
        environment = [
            "PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": path,
            "SASL_PATH": path.split(separator: ":").map { "\($0)/sasl2" }.joined(separator: ":"),
        ]
        folder = try TemporaryFolder()
        port = try ServerPort.next()
        for name in ["spool", "conf", "run", "run/proc", "run/lock", "sieve"] {
            _ = unsafe mkdir(folder.file(name), 0o755)
        }
        try folder.write(Self.configuration(folder.path), to: "imapd.conf")
        try folder.write(services, to: "cyrus.conf")
        for user in users {
            try folder.write(Self.password, to: "password")
            try await run(
                "\(root)/usr/sbin/saslpasswd2 -p -c -f \(folder.file("sasldb2")) -u localhost \(user)",
                input: "password", asRoot: true)
        }
        if geteuid() == 0 { try await run("/bin/chown -R 65534:65534 \(folder.path)", input: nil, asRoot: true) }
        try await start()
    }

    deinit { process.withLock { $0 }?.terminate() }

    /// Starts it again after `stop`.
    /// - Throws: `PeerError`, `DeadlineMissed`.
    package func start() async throws {
        let arguments =
            Self.asUser.dropFirst() + [
                "\(root)/usr/lib/cyrus/bin/master", "-D", "-C", folder.file("imapd.conf"), "-M",
                folder.file("cyrus.conf"), "-p", folder.file("run/master.pid"),
            ]
        let child = try await ChildProcess(Self.asUser[0], Array(arguments), .init(environment: environment))
        process.withLock { $0 = child }
        let port = port
        try await Eventually.wait("cyrus listens: \(child.errors)", for: .seconds(30)) {
            if let exit = child.exit { throw PeerError(.process, "cyrus ended: \(exit) \(child.errors)") }
            return (try? LoopbackSocket(port: port)) != nil && FileSystem.exists(folder.file("run/lmtp"))
        }
    }

    /// Ends the server and all its connections; the mail stays.
    /// - Throws: `DeadlineMissed`.
    package func stop() async throws {
        guard let child = process.withLock({ $0 }) else { return }
        child.terminate()
        do {
            try await child.waitForExit(deadline: .seconds(15))
        } catch is DeadlineMissed {
            // A service may wait for a client's connection to end. With the last reference the whole group is killed.
        }
        process.withLock { $0 = nil }
    }

    /// Delivers a message, over LMTP.
    /// - Throws: `PeerError` when that fails.
    package func deliver(_ message: [UInt8], to user: String) async throws {
        let name = "message-\(UInt64.random(in: 0 ... .max))"
        try folder.write(message, to: name)
        _ = unsafe chmod(folder.file(name), 0o644)
        try await run(
            "\(root)/usr/lib/cyrus/bin/deliver -C \(folder.file("imapd.conf")) \(user)", input: name, asRoot: false)
        _ = unsafe unlink(folder.file(name))
    }

    /// - Parameter input: the name of a file in our folder.
    private func run(_ command: String, input: String?, asRoot: Bool) async throws {
        let words = (asRoot ? ["/usr/bin/env"] : Self.asUser) + ["/bin/sh", "-c"]
        let redirected = input.map { "\(command) < \(folder.file($0))" } ?? command
        let child = try await ChildProcess(
            words[0], Array(words.dropFirst()) + [redirected], .init(environment: environment))
        child.closeInput()
        guard case .code(0) = try await child.waitForExit(deadline: .seconds(60)) else {
            throw PeerError(.process, "\(command): \(child.errors.joined(separator: " "))")
        }
    }

    private var services: String {
        let configuration = folder.file("imapd.conf")
        let programs = "\(root)/usr/lib/cyrus/bin"
        return """
            START {
              recover cmd="\(programs)/ctl_cyrusdb -C \(configuration) -r"
            }
            SERVICES {
              http cmd="\(programs)/httpd -C \(configuration)" listen="127.0.0.1:\(port)" prefork=0 maxchild=10
              lmtp cmd="\(programs)/lmtpd -C \(configuration) -a" listen="\(folder.file("run/lmtp"))" prefork=0 maxchild=5
            }
            EVENTS {
            }

            """
    }

    private static func configuration(_ folder: String) -> String {
        """
        configdirectory: \(folder)/conf
        partition-default: \(folder)/spool
        defaultpartition: default
        sievedir: \(folder)/sieve
        proc_path: \(folder)/run/proc
        mboxname_lockpath: \(folder)/run/lock
        lmtpsocket: \(folder)/run/lmtp
        idlesocket: \(folder)/run/idle
        notifysocket: \(folder)/run/notify
        \(geteuid() == 0 ? "cyrus_user: nobody" : "cyrus_user: \(userName)")
        servername: localhost
        virtdomains: off
        defaultdomain: localhost
        altnamespace: yes
        unixhierarchysep: yes
        conversations: 1
        httpmodules: jmap
        allowplaintext: yes
        sasl_mech_list: PLAIN
        sasl_pwcheck_method: auxprop
        sasl_auxprop_plugin: sasldb
        sasl_sasldb_path: \(folder)/sasldb2
        autocreate_quota: 0
        autocreate_post: yes
        autocreate_inbox_folders: Sent|Drafts|Trash|Junk
        xlist-Sent: Sent
        xlist-Drafts: Drafts
        xlist-Trash: Trash
        xlist-Junk: Junk

        """
    }

    private static var userName: String {
        unsafe getpwuid(geteuid()).flatMap { unsafe $0.pointee.pw_name.map { unsafe String(cString: $0) } } ?? "nobody"
    }
}
