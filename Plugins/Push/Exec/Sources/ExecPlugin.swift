package import Base
package import Gateway

/// Pushes carried by a program of the operator's.
package struct ExecPlugin: PushPlugin {
    /// Requests that the program may have at once unless configured.
    package static let defaultConcurrency = 4
    /// What a program finds in its environment unless the configuration says otherwise.
    package static let basicEnvironment = ["PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"]

    package init() {}

    package var kind: String { "exec" }

    package func configure(name: String, _ reader: ConfigReader, _ context: PluginContext) -> (any PushAdapter)? {
        let program = reader.file("program")
        if !program.isEmpty {
            if !FileSystem.exists(program) {
                reader.report("program", "there is no file '\(program)'")
            } else if !FileSystem.isExecutable(program) {
                reader.report("program", "the file '\(program)' is not executable")
            }
        }
        let arguments = reader.strings("arguments")
        if arguments.contains(where: { $0.utf8.contains(0) }) {
            reader.report("arguments", "an argument must not contain a NUL character")
        }
        var environment = Self.basicEnvironment
        for (name, value) in reader.stringMap("environment") {
            check(name, "environment", reader)
            environment[name] = value
        }
        let secrets = self.secrets(reader)
        environment.merge(secrets) { _, secret in secret }
        let settings = ExecRunner.Settings(
            command: ChildProgram.Command(
                program, arguments, environment: environment, folder: reader.optionalFile("folder")),
            timeout: reader.seconds("timeoutSeconds", in: 1...25, default: 20), secrets: Array(secrets.values))
        return ExecAdapter(
            runner: ExecRunner(settings, time: context.time, log: context.log.with(["push": .string(name)])))
    }

    private func secrets(_ reader: ConfigReader) -> [String: String] {
        reader.object("secrets") { reader in
            var secrets: [String: String] = [:]
            for name in reader.keys {
                check(name, nil, reader)
                if let secret = reader.optionalSecret(name) { secrets[name] = secret.exposed }
            }
            return secrets
        } ?? [:]
    }

    private func check(_ name: String, _ key: String?, _ reader: ConfigReader) {
        let isName =
            !name.isEmpty
            && name.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) || byte == 0x5F
            }
        if !isName { reader.report(key, "a variable's name has letters, digits and '_' only") }
    }
}
