internal import Base
internal import Cryptography
internal import Gateway
internal import Inbound
internal import Outbound

/// The command line of `farbell`: finds the command and runs it.
package struct Commands: Sendable {
    static let usage = """
        farbell: rings your devices for the apps you left running far away

          farbell serve --config FILE           run the gateway   [--standby: wait while another one has the store,
                                                and take over when it ends]
          farbell check --config FILE           say what is wrong with a configuration, without connecting
          farbell account add NAME              create an account; the password is asked for, or one line of
                                                standard input   [--kind person|program|device]
          farbell account list                  list accounts
          farbell account password NAME         set a password
          farbell account disable|enable NAME   refuse or allow log-in
          farbell account export NAME           print all that is kept of an account, a line of JSON for each thing;
                                                of the running gateway
          farbell account delete NAME --yes     end an account with all it has, for good; at the running gateway
          farbell app key NAME                  make the key a web application calls with, write it to the file
                                                of apps.NAME.key, and print it once   [--replace]
          farbell push test DEVICE              send a test notification and say what became of it
          farbell monitor try APP               log in to an app's server and say what would ring; the credentials
                                                are asked for, or one line each of standard input   [--account NAME]
          farbell sessions                      who runs what where: on a terminal drawn anew each second   [--once]
          farbell status                        how the running gateway does
          farbell demo                          walk through the story with a mailbox of its own
          farbell --version

        --config FILE may be left out where the environment variable FARBELL_CONFIG names the file.
        """

    private let environment: Environment

    package init(_ environment: Environment) { self.environment = environment }

    /// Runs a command and returns the process's exit status (sysexits.h).
    package func run(_ arguments: [String]) async -> Int32 {
        do {
            try await command(arguments)
            return 0
        } catch let error as ConfigError {
            environment.complain(error.description)
            let isCheck = (try? Self.parse(arguments))?.words.first == "check"
            return isCheck ? 1 : DaemonError.Code.configuration.rawValue
        } catch let error as DaemonError {
            environment.complain("farbell: \(error.message)")
            if error.code == .usage { environment.complain("Try 'farbell help'.") }
            return error.code.rawValue
        } catch let error as GatewayError {
            environment.complain("farbell: \(error.message)")
            return (error.code.kind == .notFound ? DaemonError.Code.noUser : .data).rawValue
        } catch let error as InboundError {
            environment.complain("farbell: \(error)")
            let isTaken = error.code == .addressInUse || error.code == .cannotListen || error.code == .start
            return (isTaken ? DaemonError.Code.unavailable : .configuration).rawValue
        } catch let error as CryptographyError where error.code == .keyFile {
            environment.complain("farbell: \(error)")
            return DaemonError.Code.configuration.rawValue
        } catch let error as StoreError {
            environment.complain("farbell: \(error)")
            switch error.code {
            case .inUse: return DaemonError.Code.temporary.rawValue
            case .newerSchema, .corrupt: return DaemonError.Code.data.rawValue
            default: return DaemonError.Code.io.rawValue
            }
        } catch {
            environment.complain("farbell: \(error)")
            return DaemonError.Code.software.rawValue
        }
    }

    private func command(_ arguments: [String]) async throws {
        if arguments.contains("--version") || arguments.first == "version" {
            environment.print("farbell \(Version.number)")
            return
        }
        let parsed = try Self.parse(arguments)
        let words = parsed.words
        if parsed.has("help") || words.first == "help" || words.isEmpty {
            if words.isEmpty && !parsed.has("help") { throw DaemonError(.usage, "no command\n\n\(Self.usage)") }
            environment.print(Self.usage)
            return
        }
        switch (words[0], words.count) {
        case ("serve", 1):
            try await Serve(file: config(parsed), standsBy: parsed.has("standby"), environment: environment).run()
        case ("check", 1):
            let file = try config(parsed)
            _ = try environment.load(file, http: HTTPClient(), log: Log(sink: NullLogSink()))
            environment.print("\(file): no problems")
        case ("account", 3) where ["export", "delete"].contains(words[1]): try await accountData(parsed)
        case ("account", 2...): try await account(parsed)
        case ("app", 3) where words[1] == "key": try appKey(parsed, app: words[2])
        case ("push", 3) where words[1] == "test": try await pushTest(parsed, device: words[2])
        case ("monitor", 3) where words[1] == "try": try await monitorTry(parsed, app: words[2])
        case ("sessions", 1): try await sessions(parsed)
        case ("status", 1): try await status(parsed)
        case ("demo", 1): try await Demo(environment: environment).run()
        default:
            let known = [
                "serve", "check", "account", "app", "push", "monitor", "sessions", "status", "demo", "help", "version",
            ]
            throw DaemonError(
                .usage,
                "unknown command '\(words.joined(separator: " "))'" + Suggestion.text(for: words[0], among: known))
        }
    }

    private static func parse(_ arguments: [String]) throws(DaemonError) -> Arguments {
        try Arguments(
            arguments, valued: ["config", "kind", "account"], flags: ["help", "once", "replace", "standby", "yes"])
    }

    func config(_ arguments: Arguments) throws -> String {
        if let file = arguments["config"] ?? environment.variables["FARBELL_CONFIG"], !file.isEmpty { return file }
        throw DaemonError(.usage, "which configuration? give --config FILE or set FARBELL_CONFIG")
    }

    /// Runs `body` with a working client and the configuration.
    private func withAdmin(
        _ arguments: Arguments, _ body: @escaping @Sendable (AdminClient) async throws -> Void
    ) async throws {
        let file = try config(arguments)
        let http = try HTTPClient()
        let configuration = try environment.load(file, http: http, log: Log(sink: NullLogSink()))
        let client = try AdminClient(configuration, http: http)
        try await http.whileRunning { try await body(client) }
    }

    // MARK: account

    private func account(_ arguments: Arguments) async throws {
        let words = arguments.words
        guard ["add", "list", "password", "disable", "enable"].contains(words[1]),
            words.count == (words[1] == "list" ? 2 : 3)
        else {
            throw DaemonError(.usage, "expected: account add|password|disable|enable NAME, or account list")
        }
        let kind = Account.Kind(rawValue: arguments["kind"] ?? "person")
        guard let kind else { throw DaemonError(.usage, "--kind is person, program or device") }
        let password =
            ["add", "password"].contains(words[1]) ? try Terminal.password("Password for \(words[2]): ") : nil
        let name = words.count > 2 ? words[2] : ""
        do {
            let configuration = try environment.load(
                config(arguments), http: HTTPClient(), log: Log(sink: NullLogSink()))
            try await AccountEditor.withStore(configuration, environment) { accounts in
                try await edit(accounts, words[1], name, password, kind)
            }
        } catch let error as StoreError where error.code == .inUse {
            // The gateway runs: it does the work itself.
            try await withAdmin(arguments) { try await edit($0, words[1], name, password, kind) }
        }
    }

    private func accountData(_ arguments: Arguments) async throws {
        let (verb, name) = (arguments.words[1], arguments.words[2])
        if verb == "delete", !arguments.has("yes") {
            throw DaemonError(.usage, "'account delete' ends '\(name)' for good; say --yes if that is meant")
        }
        try await withAdmin(arguments) { [environment] client in
            let data = AccountData(client: client, environment: environment)
            if verb == "delete" { try await data.delete(name) } else { try await data.export(name) }
        }
    }

    private func edit(
        _ accounts: Accounts, _ verb: String, _ name: String, _ password: Secret?, _ kind: Account.Kind
    ) async throws {
        switch verb {
        case "add": _ = try await accounts.create(name, password: password, kind: kind)
        case "password": if let password { try await accounts.setPassword(AccountID(name), password) }
        case "list":
            for account in accounts.all() { show(account.id.text, account.kind.rawValue, account.isDisabled) }
            return
        default: try await accounts.setDisabled(AccountID(name), verb == "disable")
        }
        environment.print("\(name): done")
    }

    private func edit(
        _ client: AdminClient, _ verb: String, _ name: String, _ password: Secret?, _ kind: Account.Kind
    ) async throws {
        let path = "accounts/\(AdminClient.segment(name))"
        switch verb {
        case "add":
            _ = try await client.call(
                "POST", "accounts",
                ["name": .string(name), "password": .string(password?.exposed ?? ""), "kind": .string(kind.rawValue)])
        case "password": _ = try await client.call("PATCH", path, ["password": .string(password?.exposed ?? "")])
        case "list":
            for item in try await client.all("accounts") {
                show(item["id"]?.string ?? "", item["kind"]?.string ?? "", item["disabled"]?.bool ?? false)
            }
            return
        default: _ = try await client.call("PATCH", path, ["disabled": .bool(verb == "disable")])
        }
        environment.print("\(name): done")
    }

    private func show(_ name: String, _ kind: String, _ isDisabled: Bool) {
        environment.print("\(name)\t\(kind)\(isDisabled ? "\tdisabled" : "")")
    }

    // MARK: app

    private func appKey(_ arguments: Arguments, app name: String) throws {
        let configuration = try environment.load(config(arguments), http: HTTPClient(), log: Log(sink: NullLogSink()))
        let key = try AppKey.make(name, in: configuration.gateway.apps, replacing: arguments.has("replace"))
        environment.print(key.exposed)
        environment.complain("The gateway knows it after a reload (SIGHUP) or its next start.")
    }

    // MARK: monitor

    /// Ends by a signal with success: what there was to see was seen.
    private func monitorTry(_ arguments: Arguments, app: String) async throws {
        let file = try config(arguments)
        let signals = SignalHub(SignalWatcher.watch())
        let http = try HTTPClient()
        let configuration = try environment.load(file, http: http, log: Log(sink: NullLogSink()))
        let attempt = try MonitorTry(app, account: arguments["account"], configuration.gateway, environment)
        try await http.whileRunning {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { _ = await signals.ending { nil } }
                group.addTask { try await attempt.run(try attempt.askCredentials()) }
                defer { group.cancelAll() }
                try await group.next()
            }
        }
    }

    // MARK: Commands of a running gateway

    private func pushTest(_ arguments: Arguments, device: String) async throws {
        try await withAdmin(arguments) { client in
            let answer = try await client.call("POST", "devices/\(AdminClient.segment(device))/test")
            let verdict = PushVerdict(answer)
            for line in verdict.lines { environment.print(line) }
            if let error = verdict.error { throw error }
        }
    }

    /// Ends by a signal with success.
    private func sessions(_ arguments: Arguments) async throws {
        guard !arguments.has("once"), Terminal.isInteractive else {
            return try await withAdmin(arguments) { try await SessionsScreen($0, environment).printOnce() }
        }
        let signals = SignalHub(SignalWatcher.watch())
        try await withAdmin(arguments) { client in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { _ = await signals.ending { nil } }
                group.addTask { try await SessionsScreen(client, environment).follow() }
                defer { group.cancelAll() }
                try await group.next()
            }
        }
    }

    private func status(_ arguments: Arguments) async throws {
        try await withAdmin(arguments) { client in
            let answer = try await client.call("GET", "status")
            for member in answer.object?.members ?? [] {
                environment.print("\(member.key): \(member.value.string ?? member.value.serialized)")
            }
        }
    }
}

/// Changes accounts in the database of a gateway that is not running.
enum AccountEditor {
    /// - Throws: `StoreError` (`in_use` when the gateway runs), `GatewayError`.
    static func withStore(
        _ configuration: DaemonConfiguration, _ environment: Environment, _ body: (Accounts) async throws -> Void
    ) async throws {
        let store = try await StoreOpener.open(configuration)
        do {
            let gateway = try await Gateway(
                configuration.gateway,
                on: Gateway.Foundation(
                    store: store, security: try LibrarySecurity(keyFile: configuration.keyFile), time: environment.time,
                    log: Log(sink: NullLogSink())))
            try await body(gateway.accounts)
        } catch {
            await store.close()
            throw error
        }
        await store.close()
    }
}
