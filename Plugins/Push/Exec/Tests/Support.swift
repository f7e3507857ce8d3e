import Base
import ExecPush
import Gateway
import GatewayTestKit
import Outbound

/// An adapter around a program that a test wrote.
final class ExecSubject: Sendable {
    let folder: TemporaryFolder
    let log = RecordingLogSink()
    let adapter: any PushAdapter

    /// - Parameter python: the program's text; `ask()` in it gives the next request or ends at the input's end,
    ///   `answer(request, **members)` answers.
    init(
        python: String, more: JSON = [:], environment: [String: String] = [:], time: any TimeSource = SystemTime()
    ) throws {
        folder = try TemporaryFolder()
        let head = """
            #!/usr/bin/env python3
            import json, os, signal, sys, time
            def ask():
                line = sys.stdin.readline()
                if not line: sys.exit(0)
                return json.loads(line)
            def answer(request, **members):
                print(json.dumps({"id": request["id"], **members}), flush=True)

            """
        try folder.write(head + python + "\n", to: "program.py")
        // `python3` may be anywhere in the tests' own path, but a program's path is a fixed one.
        let python = ["/usr/bin/python3", "/usr/local/bin/python3"].first(where: FileSystem.exists) ?? "/usr/bin/env"
        var keys: JSONObject = [
            "program": .string(python),
            "arguments": .strings((python.hasSuffix("env") ? ["python3"] : []) + [folder.file("program.py")]),
        ]
        keys.members += more.object?.members ?? []
        adapter = try ExecPlugin().adapter(
            JSON.object(keys).serialized, folder: folder.path, http: HTTPClient(), time: time,
            log: Log(sink: log, level: .debug), environment: environment)
    }

    static let address = Channel.Address.token("7")

    func send(_ id: String = "11111111-2222-4333-8444-555555555555") async -> PushReport {
        await adapter.send(.sample(to: Self.address, id: id))
    }
}
