internal import Base
internal import Gateway
internal import MonitorTools

/// Reads a feed, again and again. A feed that is the same for everybody is fetched once, however many watch it.
final class FeedMonitor: Monitor {
    enum Authentication: String, Sendable, CaseIterable { case none, basic }

    struct Settings: Sendable {
        /// May hold `{username}`.
        var url: String
        var caFile: String?
        var authentication = Authentication.none
        var poll = Duration.seconds(900)

        /// Whether all registrations see the same.
        var isShared: Bool { authentication == .none && !url.contains("{username}") }
    }

    /// What a server said, and what to tell it when asking again.
    private struct Snapshot: Sendable {
        var entries: [ListWatch.Entry]
        var tag: String?
        var modified: String?
    }

    /// Redirects followed for one request.
    private static let redirects = 5
    private static let accepted = "application/atom+xml, application/rss+xml, application/xml;q=0.9, */*;q=0.1"

    let settings: Settings
    let upstream: String
    private let http: MonitorHTTP
    private let time: any TimeSource
    private let shared: SharedFetch<Snapshot>

    init(_ settings: Settings, origin: String, http: MonitorHTTP, time: any TimeSource) {
        (self.settings, self.http, self.time, upstream) = (settings, http, time, origin)
        shared = SharedFetch(time: time)
    }

    var credentialFields: [CredentialField] {
        settings.authentication == .none
            ? [] : [CredentialField("username", isSecret: false), CredentialField("password", isSecret: true)]
    }

    func watch(_ target: MonitorTarget, host: any MonitorHost) async throws {
        var cursor: ListCursor?
        if let stored = target.cursor {
            guard let decoded = ListCursor(stored) else {
                throw MonitorFailure(.cursorInvalid, "the stored cursor is not one of the feed monitor")
            }
            cursor = decoded
        }
        var list = ListWatch(cursor: cursor)
        let (url, headers) = try request(of: target)
        var own: Snapshot?
        var isWatching = false
        while true {
            let entries: [ListWatch.Entry]
            if settings.isShared {
                entries = try await shared.value(maxAge: settings.poll * 0.5) { last in
                    try await self.fetch(url, headers, last)
                }.entries
            } else {
                let snapshot = try await fetch(url, headers, own)
                own = snapshot
                entries = snapshot.entries
            }
            // What fell out of a feed is old, not withdrawn.
            for batch in list.look(entries, missingIsGone: false, now: time.timestamp) { try await host.emit(batch) }
            if !isWatching { host.watching() }
            isWatching = true
            host.heard()
            try await time.sleep(until: time.now + settings.poll * Double.random(in: 0.9...1.1))
        }
    }

    private func fetch(_ url: String, _ headers: HTTPFields, _ last: Snapshot?) async throws -> Snapshot {
        var call = MonitorHTTP.Call("GET", url)
        call.headers = headers
        call.headers["Accept"] = Self.accepted
        call.redirects = Self.redirects
        if let last, last.tag != nil || last.modified != nil {
            call.headers["If-None-Match"] = last.tag
            call.headers["If-Modified-Since"] = last.modified
            call.accepts = [304]
        }
        let response = try await http.send(call)
        if response.status == 304, let last { return last }
        return Snapshot(
            entries: try FeedDocument.entries(response.body, charset: Self.charset(response.headers["Content-Type"])),
            tag: response.headers["ETag"], modified: response.headers["Last-Modified"])
    }

    /// The parameter of a media type (RFC 9110 section 8.3.1); nil without one.
    static func charset(_ type: String?) -> String? {
        for part in (type ?? "").split(separator: ";").dropFirst() {
            let pair = part.split(separator: "=", maxSplits: 1).map { String($0).trimmingSpace }
            guard pair.count == 2, pair[0].lowercased() == "charset" else { continue }
            let name = pair[1].filter { $0 != "\"" && $0 != "'" }
            return (1...40).contains(name.utf8.count) ? name : nil
        }
        return nil
    }

    private func request(of target: MonitorTarget) throws -> (url: String, headers: HTTPFields) {
        var headers = HTTPFields()
        var username = target.account.text
        if settings.authentication == .basic {
            username = target.credentials["username"]?.exposed ?? ""
            guard let password = target.credentials["password"], !password.isEmpty, !username.isEmpty else {
                throw MonitorFailure(.authFailed, "the registration has no username or no password")
            }
            headers["Authorization"] = "Basic \(Array("\(username):\(password.exposed)".utf8).base64)"
        }
        guard settings.url.contains("{username}") else { return (settings.url, headers) }
        guard !username.isEmpty, username != ".", username != ".." else {
            throw MonitorFailure(.authFailed, "the name cannot be part of a URL")
        }
        return (settings.url.replacing("{username}", with: username.percentEncoded()), headers)
    }
}
