import Base
import Gateway
import GatewayTestKit

@testable import HTTPMonitor

/// A company's OA system: tasks of one user, in pages, with entity tags.
final class FakeOA: Sendable {
    struct Task: Sendable {
        var id: String?
        var subject: String
        var time: String?
        var isRead = false
        var extra: JSONObject = [:]
    }

    private struct State {
        var tasks: [Task] = []
        var version = 0
        var refused = 0
        var pages = 0
        var unchanged = 0
    }

    static let token = "correct-token"
    static let pageSize = 200
    private let state = Locked(State())

    var refused: Int { state.withLock { $0.refused } }
    /// Pages that were sent, and answers that nothing has changed.
    var pages: Int { state.withLock { $0.pages } }
    var unchanged: Int { state.withLock { $0.unchanged } }

    func change(_ body: (inout [Task]) -> Void) {
        state.withLock { state in
            body(&state.tasks)
            state.version += 1
        }
    }

    /// Strict: anything but the right request is refused.
    func respond(to request: HTTPRequest) -> HTTPResponse {
        state.withLock { state in
            guard request.method == "GET", request.headers["Accept"] == "application/json", request.body.isEmpty else {
                return HTTPResponse(status: 405)
            }
            guard request.headers["Authorization"] == "Bearer \(Self.token)" else {
                state.refused += 1
                return HTTPResponse(status: 401)
            }
            let parts = request.url.split(separator: "?", maxSplits: 1)
            guard parts[0] == "http://oa.test/users/a%2Flice/tasks" else { return HTTPResponse(status: 404) }
            let start = parts.count > 1 ? Int(parts[1].dropFirst("from=".count)) ?? -1 : 0
            guard start >= 0 else { return HTTPResponse(status: 400) }
            let tag = "\"v\(state.version)\""
            if request.headers["If-None-Match"] == tag {
                state.unchanged += 1
                return HTTPResponse(status: 304)
            }
            let tasks = Array(state.tasks.reversed())
            let end = min(start + Self.pageSize, tasks.count)
            var data: JSONObject = ["tasks": .array(tasks[min(start, end)..<end].map(Self.json))]
            if end < tasks.count { data.append("next", .string("?from=\(end)")) }
            state.pages += 1
            return HTTPResponse(
                status: 200, headers: ["ETag": tag], body: JSON.object(["data": .object(data)]).serializedBytes)
        }
    }

    private static func json(_ task: Task) -> JSON {
        var json: JSONObject = [
            "subject": .string(task.subject), "applicant": ["name": "Anna Example", "mail": "anna@example.org"],
            "readAt": task.isRead ? "2026-11-21T09:00:00Z" : .null,
        ]
        if let id = task.id {
            json.append("id", .string(id))
            json.append("mid", .string("\(id)@example.org"))
        }
        if let time = task.time { json.append("created", .string(time)) }
        json.members += task.extra.members
        return .object(json)
    }
}

/// The monitor against the fake, on a clock the test moves.
final class OASubject: MonitorSubject {
    static let configuration = """
        {"monitor":{"kind":"http","url":"http://oa.test/users/{username}/tasks","allowPlaintext":true,\
        "items":"/data/tasks","id":"/id","title":"/subject","sender":"/applicant/name",\
        "senderAddress":"/applicant/mail","time":"/created","content":"/mid","read":"/readAt","next":"/data/next",\
        "missing":"gone","pollSeconds":60}}
        """

    let fake: FakeOA
    let web: FaultyWeb
    let time = ManualTime()
    let monitor: any Monitor
    let logged: RecordingLogSink?
    let credentials = ["username": Secret("a/lice"), "token": Secret(FakeOA.token)]
    var wrongCredentials: [String: Secret]? { ["username": Secret("a/lice"), "token": Secret("wrong-token")] }

    init(_ configuration: String = OASubject.configuration) throws {
        let fake = FakeOA()
        let sink = RecordingLogSink()
        self.fake = fake
        web = FaultyWeb(time: time) { fake.respond(to: $0) }
        logged = sink
        monitor = try HTTPMonitor.configured(
            by: HTTPMonitorPlugin(), configuration, transport: web, time: time, log: Log(sink: sink, level: .debug))
    }

    func deliver(_ news: TestNews) async throws {
        fake.change { $0.append(FakeOA.Task(id: news.id, subject: news.subject, time: news.time)) }
    }
    func markRead(_ key: String) async throws {
        fake.change { tasks in for index in tasks.indices where tasks[index].id == key { tasks[index].isRead = true } }
    }
    func remove(_ key: String) async throws { fake.change { $0.removeAll { $0.id == key } } }
    func wakeWithoutNews() async throws {
        fake.change { _ in }
        try await passTime()
    }
    /// There are none: it asks by the clock.
    func setLosesWakeUps(_ loses: Bool) async throws {}
    func passTime() async throws { if time.sleeperCount > 0 { time.advanceToNextDeadline() } }
    func setServerRunning(_ running: Bool) async throws { web.setRunning(running) }
    func loginAttempts() async throws -> Int { fake.refused }
    func setSilent(_ silent: Bool) async throws { web.setSilent(silent) }
    func throttle(seconds: Int) async throws { web.throttle(seconds: seconds) }
    func setNonsense(_ nonsense: Bool) async throws { web.setNonsense(nonsense) }
}
