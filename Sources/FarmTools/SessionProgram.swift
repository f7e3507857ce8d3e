package import Base
package import Gateway

/// The operator's program that finds or starts an account's session at a farm and the app in it. It runs as
/// Farbell does (or by `sudo`, as the operator writes it) and is given one line of JSON on its standard input:
/// `{"account","app","item"?,"credentials":{…}}`. Credentials go this way and no other: they are in no argument, no
/// environment and no file. It answers with one line of JSON and ends; what is to stay must leave its process group
/// (`setsid`).
package struct SessionProgram: Sendable {
    private let command: ChildProgram.Command
    private let limit: Duration
    private let time: any TimeSource

    /// Reads `session` (the program and its arguments) and `sessionSeconds`.
    package init?(_ reader: ConfigReader, time: any TimeSource) {
        let words = reader.strings("session")
        limit = reader.seconds("sessionSeconds", in: 1...300, default: 30)
        self.time = time
        guard let path = words.first else { return nil }
        let resolved = path.contains("/") ? reader.document.resolve(path) : path
        if !FileSystem.isExecutable(resolved) {
            reader.report("session", "'\(resolved)' is not a program that can be run")
            return nil
        }
        command = ChildProgram.Command(
            resolved, Array(words.dropFirst()),
            environment: ["PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"])
    }

    /// Runs it for a launch.
    /// - Throws: `farm_unavailable`, with the program's last word for the operator's log, never for the device.
    package func open(_ request: LaunchRequest, log: Log) async throws -> JSON {
        var order: JSONObject = ["account": .string(request.account.text), "app": .string(request.app.text)]
        if let item = request.item { order.append("item", .string(item)) }
        var credentials = JSONObject()
        for (name, value) in request.credentials.sorted(by: { $0.key < $1.key }) {
            credentials.append(name, .string(value.exposed))
        }
        order.append("credentials", .object(credentials))
        let output: ProgramRun.Output
        do {
            output = try await ProgramRun.output(
                of: command, input: JSON.object(order).serializedBytes, within: limit, time: time)
        } catch {
            throw unavailable(request, log, error.message)
        }
        guard output.exit == .code(0) else {
            throw unavailable(request, log, "\(output.exit): \(output.errors.last ?? "it said nothing")")
        }
        guard let line = output.lines.last, let answer = try? JSONParser.parse(Array(line.utf8)), answer.object != nil
        else { throw unavailable(request, log, "its answer is not a line of JSON") }
        return answer
    }

    private func unavailable(_ request: LaunchRequest, _ log: Log, _ reason: String) -> GatewayError {
        log.error(
            .launchFailed, "The farm's session program could not open the app",
            [
                "launch": .id(request.launch), "account": .id(request.account), "app": .id(request.app),
                "program": .string(command.path), "reason": .string(reason.printable),
            ])
        return GatewayError(.farmUnavailable, "the farm cannot open the app now")
    }
}
