internal import Base
internal import Gateway
internal import MonitorTools

/// Asks an HTTP API for a list of items, again and again, for each registration.
final class HTTPMonitor: Monitor {
    /// How a registration proves who it is.
    enum Authentication: String, Sendable, CaseIterable {
        /// Not at all: the URL is the account's own by its name only.
        case none
        case basic
        case bearer
        /// The token is the whole value of a header field.
        case header
    }

    /// Where the address of the next page stands.
    enum Next: Sendable, Hashable {
        /// There is one page.
        case none
        /// In the header `Link`.
        case link
        /// At a place in the document: a URL.
        case url(JSONPointer)
        /// At a place in the document: the value of a query parameter.
        case parameter(JSONPointer, name: String)
    }

    struct Settings: Sendable {
        /// With `{username}` or `{account}` in it, or neither.
        var url: String
        var caFile: String?
        var authentication = Authentication.bearer
        /// Of `Authentication.header`.
        var header = "X-Api-Key"
        var reader: ItemReader
        var next = Next.none
        var pages = 5
        /// An announced item that is not in the list any more was done.
        var missingIsGone = false
        var poll = Duration.seconds(60)
    }

    let settings: Settings
    /// Scheme, host and port of the URL.
    let origin: String
    private let http: MonitorHTTP
    private let time: any TimeSource

    init(_ settings: Settings, origin: String, http: MonitorHTTP, time: any TimeSource) {
        (self.settings, self.origin, self.http, self.time) = (settings, origin, http, time)
    }

    var credentialFields: [CredentialField] {
        let username = CredentialField("username", isSecret: false)
        switch settings.authentication {
        case .none: return []
        case .basic: return [username, CredentialField("password", isSecret: true)]
        case .bearer, .header:
            let token = CredentialField("token", isSecret: true)
            return settings.url.contains("{username}") ? [username, token] : [token]
        }
    }

    var upstream: String { origin }

    func watch(_ target: MonitorTarget, host: any MonitorHost) async throws {
        var cursor: ListCursor?
        if let stored = target.cursor {
            guard let decoded = ListCursor(stored) else {
                throw MonitorFailure(.cursorInvalid, "the stored cursor is not one of the http monitor")
            }
            cursor = decoded
        }
        var list = ListWatch(cursor: cursor)
        let first = try address(of: target)
        let headers = try headers(of: target)
        var tag: String?
        var isWatching = false
        while true {
            if let answer = try await fetch(first, headers, tag) {
                let missingIsGone = settings.missingIsGone && answer.isWhole
                let batches = list.look(answer.entries, missingIsGone: missingIsGone, now: time.timestamp)
                for batch in batches { try await host.emit(batch) }
                // Only now: what was not stored must be asked for again.
                tag = answer.tag
            }
            if !isWatching { host.watching() }
            isWatching = true
            host.heard()
            try await time.sleep(until: time.now + settings.poll * Double.random(in: 0.9...1.1))
        }
    }

    // MARK: Asking

    /// What all pages together say.
    private struct Answer {
        var entries: [ListWatch.Entry] = []
        /// All pages were read, and no item was left out.
        var isWhole = false
        /// Of a list that has one page: of longer ones, the first may be the same while others are not.
        var tag: String?
    }

    /// - Returns: nil when nothing has changed since the answer with that tag.
    private func fetch(_ first: String, _ headers: HTTPFields, _ tag: String?) async throws -> Answer? {
        var answer = Answer()
        var visited: Set<String> = []
        var next: String? = first
        while let url = next, visited.count < settings.pages, answer.entries.count < ListCursor.knownLimit {
            guard visited.insert(url).inserted else {
                throw MonitorFailure(.protocolViolation, "a page names itself, or one before it, as the next one")
            }
            var call = MonitorHTTP.Call("GET", url)
            call.headers = headers
            if let tag, visited.count == 1 {
                call.headers["If-None-Match"] = tag
                call.accepts = [304]
            }
            let response = try await http.send(call)
            if response.status == 304 { return nil }
            let document = try MonitorHTTP.json(response)
            answer.entries += try settings.reader.entries(in: document)
            next = try following(url, document, response)
            if visited.count == 1, next == nil { answer.tag = response.headers["ETag"] }
        }
        answer.isWhole = next == nil && answer.entries.count <= ListCursor.knownLimit
        answer.entries = Array(answer.entries.prefix(ListCursor.knownLimit))
        return answer
    }

    /// The address of the page after this one; credentials never follow it to another server.
    private func following(_ url: String, _ document: JSON, _ response: HTTPResponse) throws -> String? {
        let reference: String?
        switch settings.next {
        case .none: reference = nil
        case .link: reference = LinkHeader.next(in: response.headers)
        case .url(let place): reference = place.value(in: document)?.string
        case .parameter(let place, let name):
            let value = place.value(in: document)
            let text = value?.string ?? value?.integer.map { String($0) }
            guard let text, !text.isEmpty else { return nil }
            return Self.setting(name, to: text, in: url)
        }
        guard let reference, !reference.isEmpty else { return nil }
        guard let resolved = WebAddress.resolve(reference, at: url),
            (try? WebAddress(resolved))?.origin == origin
        else { throw MonitorFailure(.protocolViolation, "the next page is said to be on another server") }
        return resolved
    }

    /// The URL with one query parameter replaced or added.
    static func setting(_ name: String, to value: String, in url: String) -> String {
        let parts = url.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let encoded = name.percentEncoded()
        var query = parts.count > 1 ? parts[1].split(separator: "&").map(String.init) : []
        query.removeAll { $0 == encoded || $0.hasPrefix(encoded + "=") }
        query.append("\(encoded)=\(value.percentEncoded())")
        return parts[0] + "?" + query.joined(separator: "&")
    }

    // MARK: Credentials

    private func address(of target: MonitorTarget) throws -> String {
        var url = settings.url
        // Without a login only the account's own name may choose: nobody can be told of somebody else's items.
        let username =
            settings.authentication == .none ? target.account.text : target.credentials["username"]?.exposed ?? ""
        for (mark, name) in [("{username}", username), ("{account}", target.account.text)] where url.contains(mark) {
            guard !name.isEmpty, name != ".", name != ".." else {
                throw MonitorFailure(.authFailed, "the name cannot be part of a URL")
            }
            url = url.replacing(mark, with: name.percentEncoded())
        }
        return url
    }

    private func headers(of target: MonitorTarget) throws -> HTTPFields {
        func secret(_ field: String) throws -> String {
            guard let value = target.credentials[field]?.exposed, !value.isEmpty else {
                throw MonitorFailure(.authFailed, "the registration has no \(field)")
            }
            guard value.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
                throw MonitorFailure(.authFailed, "the \(field) has control characters")
            }
            return value
        }
        var headers = HTTPFields()
        switch settings.authentication {
        case .none: break
        case .basic:
            let pair = "\(try secret("username")):\(try secret("password"))"
            headers["Authorization"] = "Basic \(Array(pair.utf8).base64)"
        case .bearer: headers["Authorization"] = "Bearer \(try secret("token"))"
        case .header: headers[settings.header] = try secret("token")
        }
        return headers
    }
}
