package import Base
package import Gateway

/// The `exec` kind of monitor.
package struct ExecMonitorPlugin: MonitorPlugin {
    /// What a program finds in its environment unless the configuration says otherwise.
    package static let basicEnvironment = ["PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"]

    package init() {}

    package var kind: String { "exec" }

    package func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)? {
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
        var settings = ExecMonitor.Settings(
            command: ChildProgram.Command(
                program, arguments, environment: environment, folder: reader.optionalFile("folder")))
        settings.contract = reader.choice("contract", default: ExecMonitor.Contract.stream)
        settings.fields = fields(reader)
        settings.config = reader.stringMap("config")
        for pair in settings.config {
            check(pair.name, "config", reader)
            if pair.value.utf8.contains(where: { $0 == 0 || $0 == 0x0A || $0 == 0x0D }) {
                reader.report("config", "a value has one line")
            }
        }
        let isOnce = settings.contract == .once
        settings.heartbeat = reader.seconds("heartbeatSeconds", in: 5...3_600, default: 90)
        settings.poll = reader.seconds("pollSeconds", in: 10...86_400, default: isOnce ? 60 : 300)
        settings.timeout = reader.seconds("timeoutSeconds", in: 1...300, default: 30)
        settings.concurrency = reader.integer("concurrency", in: 1...64, default: 4)
        settings.command.limits = limits(reader)
        return ExecMonitor(
            settings, time: context.time,
            log: context.log.with(["app.id": .string(app.text), "monitor.kind": "exec"]))
    }

    private func fields(_ reader: ConfigReader) -> [CredentialField] {
        var fields: [CredentialField] = []
        for (key, isSecret) in [("fields", false), ("secretFields", true)] {
            for name in reader.strings(key, default: isSecret ? ["password"] : ["username"]) {
                check(name, key, reader)
                if fields.contains(where: { $0.name == name }) {
                    reader.report(key, "the field '\(name)' is named twice")
                } else {
                    fields.append(CredentialField(name, isSecret: isSecret))
                }
            }
        }
        return fields
    }

    /// What the system lets the program have.
    private func limits(_ reader: ConfigReader) -> ChildProgram.ResourceLimits {
        reader.object("limits") { reader in
            var limits = ChildProgram.ResourceLimits()
            limits.memoryBytes = reader.integer("memoryMegabytes", in: 16...65_536, default: 1_024) << 20
            limits.openFiles = reader.integer("openFiles", in: 16...65_536, default: 1_024)
            let seconds = reader.integer("processorSeconds", in: 0...31_536_000, default: 0)
            limits.processorSeconds = seconds == 0 ? nil : seconds
            return limits
        } ?? ChildProgram.ResourceLimits(memoryBytes: 1 << 30, openFiles: 1_024)
    }

    private func check(_ name: String, _ key: String, _ reader: ConfigReader) {
        let isName =
            !name.isEmpty && name.utf8.count <= 64
            && name.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) || byte == 0x5F
            }
        if !isName { reader.report(key, "a name has 1 to 64 letters, digits and '_'") }
    }
}
