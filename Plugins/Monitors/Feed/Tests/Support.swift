import Base
import Gateway
import GatewayTestKit

@testable import FeedMonitor

/// How a feed is written.
enum FeedForm: String, Sendable, CaseIterable { case rss, atom, rdf }

/// A web site with a feed.
final class FakeSite: Sendable {
    struct Entry: Sendable {
        var id: String?
        var title: String
        var time: String = "2026-11-21T08:00:00Z"
        var updated: String?
    }

    private struct State {
        var entries: [Entry] = []
        var version = 0
        var refused = 0
        var sent = 0
        var unchanged = 0
    }

    let form: FeedForm
    /// What Basic authentication must bring; nil for an open feed.
    let login: String?
    private let state = Locked(State())

    init(_ form: FeedForm, login: String? = nil) { (self.form, self.login) = (form, login) }

    var refused: Int { state.withLock { $0.refused } }
    var sent: Int { state.withLock { $0.sent } }
    var unchanged: Int { state.withLock { $0.unchanged } }

    func change(_ body: (inout [Entry]) -> Void) {
        state.withLock { state in
            body(&state.entries)
            state.version += 1
        }
    }

    /// Strict: anything but the right request is refused.
    func respond(to request: HTTPRequest) -> HTTPResponse {
        state.withLock { state in
            guard request.method == "GET", request.url == "http://site.test/feed",
                request.headers["Accept"]?.contains("rss+xml") == true, request.redirectLimit > 0
            else { return HTTPResponse(status: 400) }
            if let login, request.headers["Authorization"] != "Basic \(Array(login.utf8).base64)" {
                state.refused += 1
                return HTTPResponse(status: 401)
            }
            let tag = "W/\"\(state.version)\""
            if request.headers["If-None-Match"] == tag {
                state.unchanged += 1
                return HTTPResponse(status: 304)
            }
            state.sent += 1
            return HTTPResponse(
                status: 200, headers: ["ETag": tag, "Content-Type": "application/xml; charset=utf-8"],
                body: Array(document(state.entries.reversed()).utf8))
        }
    }

    private func document(_ entries: [Entry]) -> String {
        let items = entries.map(item).joined(separator: "\n")
        switch form {
        case .rss:
            return """
                <?xml version="1.0"?><rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>
                <title>Site</title>\(items)</channel></rss>
                """
        case .rdf:
            return """
                <?xml version="1.0"?><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" \
                xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">
                <channel rdf:about="http://site.test/"><title>Site</title></channel>\(items)</rdf:RDF>
                """
        case .atom:
            return """
                <?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>Site</title>\(items)</feed>
                """
        }
    }

    private func item(_ entry: Entry) -> String {
        let title = entry.title.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
        switch form {
        case .rss:
            let id = entry.id.map { "<guid isPermaLink=\"false\">\($0)@example.org</guid>" } ?? ""
            return """
                <item>\(id)<title>\(title)</title><author>anna@example.org (Anna Example)</author>
                <pubDate>Sat, 21 Nov 2026 08:00:00 GMT</pubDate></item>
                """
        case .rdf:
            let about = entry.id.map { " rdf:about=\"\($0)@example.org\"" } ?? ""
            return """
                <item\(about)><title>\(title)</title><dc:creator>Anna Example</dc:creator>
                <dc:date>\(entry.time)</dc:date></item>
                """
        case .atom:
            let id = entry.id.map { "<id>\($0)@example.org</id>" } ?? ""
            return """
                <entry>\(id)<title type="text">\(title)</title><published>\(entry.time)</published>
                <updated>\(entry.updated ?? entry.time)</updated>
                <author><name>Anna Example</name><email>anna@example.org</email></author></entry>
                """
        }
    }
}

/// The monitor against the fake, on a clock the test moves.
final class SiteSubject: MonitorSubject {
    let site: FakeSite
    let web: FaultyWeb
    let time = ManualTime()
    let monitor: any Monitor
    let logged: RecordingLogSink?
    let credentials: [String: Secret]
    let wrongCredentials: [String: Secret]?
    let abilities: Set<MonitorAbility>

    init(_ form: FeedForm, withLogin: Bool) throws {
        let site = FakeSite(form, login: withLogin ? "anna:secret word" : nil)
        let sink = RecordingLogSink()
        self.site = site
        web = FaultyWeb(time: time) { site.respond(to: $0) }
        logged = sink
        credentials = withLogin ? ["username": Secret("anna"), "password": Secret("secret word")] : [:]
        wrongCredentials = withLogin ? ["username": Secret("anna"), "password": Secret("wrong word")] : nil
        var abilities = Set(MonitorAbility.allCases).subtracting([.tellsRead, .tellsGone])
        if form == .rdf { abilities.remove(.addresses) }
        self.abilities = abilities
        let login = withLogin ? #","authentication":"basic","allowPlaintext":true"# : ""
        monitor = try FeedMonitor.configured(
            by: FeedMonitorPlugin(), "{\"monitor\":{\"url\":\"http://site.test/feed\",\"pollSeconds\":60\(login)}}",
            transport: web, time: time,
            log: Log(sink: sink, level: .debug))
    }

    func deliver(_ news: TestNews) async throws {
        site.change { $0.append(FakeSite.Entry(id: news.id, title: news.subject, time: news.time)) }
    }
    func markRead(_ key: String) async throws {}
    func remove(_ key: String) async throws {}
    func wakeWithoutNews() async throws {
        site.change { _ in }
        try await passTime()
    }
    func setLosesWakeUps(_ loses: Bool) async throws {}
    func passTime() async throws {
        // After a failure nobody waits: the host would, and the monitor answers with the same for a while.
        if !time.advanceToNextDeadline() { time.advance(by: .seconds(10)) }
    }
    func setServerRunning(_ running: Bool) async throws { web.setRunning(running) }
    func loginAttempts() async throws -> Int { site.refused }
    func setSilent(_ silent: Bool) async throws { web.setSilent(silent) }
    func throttle(seconds: Int) async throws { web.throttle(seconds: seconds) }
    func setNonsense(_ nonsense: Bool) async throws { web.setNonsense(nonsense) }
}
