internal import Base
internal import Gateway

/// What a program says: one JSON object a line. Unknown members, and objects of kinds that are not known, are ignored.
enum ExecMessage: Sendable, Hashable {
    struct Batch: Sendable, Hashable {
        var id: String
        var changes: [MonitorBatch.Change]
        var cursor: String
    }

    case ready
    case heartbeat
    case watching(reg: String)
    case batch(reg: String, Batch)
    case error(reg: String, Trouble)
    /// A registration is named, but what is said of it is not right.
    case wrong(reg: String, String)
    case unknown

    /// Why a program cannot watch a registration.
    struct Trouble: Sendable, Hashable {
        var kind: String
        var text: String
        var retryAfter: Double?

        /// As a failure for the host; nil for a kind that is not known.
        func failure(now: Moment, hiding secrets: [String]) -> MonitorFailure? {
            var shown = ExecText.shown(text, 200)
            for secret in secrets where !secret.isEmpty { shown = shown.replacing(secret, with: "***") }
            let code: MonitorFailure.Code
            switch kind {
            case "auth_failed": code = .authFailed
            case "auth_temporary": code = .authTemporary
            case "throttled":
                code = .throttled(until: now + .milliseconds(Int64(min(max(retryAfter ?? 60, 1), 86_400) * 1000)))
            case "network": code = .network
            case "source_gone": code = .sourceGone
            case "cursor_invalid": code = .cursorInvalid
            case "protocol_violation": code = .protocolViolation
            default: return nil
            }
            return MonitorFailure(code, "the program says: \(shown)")
        }
    }

    /// Bytes of the longest key, cursor and id that a program may use.
    static let keyLimit = 512
    static let cursorLimit = 32_768
    static let idLimit = 128
    /// Events of one batch.
    static let eventLimit = 500

    /// - Throws: `Fault` for what is no JSON object.
    init(_ line: [UInt8]) throws(Fault) {
        guard let object = (try? JSONParser.parse(line))?.object else { throw Fault() }
        if object["ready"] != nil {
            self = .ready
        } else if object["heartbeat"] != nil {
            self = .heartbeat
        } else if let reg = object["watching"]?["reg"]?.string {
            self = .watching(reg: reg)
        } else if let batch = object["batch"], let reg = batch["reg"]?.string {
            self = Self.batch(batch, reg)
        } else if let error = object["error"], let reg = error["reg"]?.string {
            self = Self.trouble(error).map { .error(reg: reg, $0) } ?? .wrong(reg: reg, "an error without a kind")
        } else {
            self = .unknown
        }
    }

    /// Why a line is nothing that a program may say; without what stands in it.
    struct Fault: Error {}

    static func trouble(_ json: JSON) -> Trouble? {
        guard let kind = json["kind"]?.string else { return nil }
        return Trouble(kind: kind, text: json["text"]?.string ?? "", retryAfter: json["retryAfter"]?.number)
    }

    private static func batch(_ json: JSON, _ reg: String) -> ExecMessage {
        guard let id = json["id"]?.string, !id.isEmpty, id.utf8.count <= idLimit else {
            return .wrong(reg: reg, "a batch without a usable id")
        }
        guard let cursor = json["cursor"]?.string, cursor.utf8.count <= cursorLimit else {
            return .wrong(reg: reg, "a batch without a cursor of at most \(cursorLimit) bytes")
        }
        let events = json["events"]?.array ?? []
        guard events.count <= eventLimit else { return .wrong(reg: reg, "a batch of more than \(eventLimit) events") }
        let changes = events.compactMap(change)
        guard changes.count == events.count else { return .wrong(reg: reg, "an event that is none") }
        return .batch(reg: reg, Batch(id: id, changes: changes, cursor: cursor))
    }

    /// `{"new":{…}}`, `{"seen":"key"}` or `{"gone":"key"}`; nil for anything else.
    static func change(_ json: JSON) -> MonitorBatch.Change? {
        func isKey(_ key: String) -> Bool { !key.isEmpty && key.utf8.count <= keyLimit }
        if let key = json["seen"]?.string { return isKey(key) ? .seen(key: key) : nil }
        if let key = json["gone"]?.string { return isKey(key) ? .gone(key: key) : nil }
        guard let new = json["new"], let key = new["key"]?.string, isKey(key) else { return nil }
        func text(_ name: String, _ limit: Int) -> String? {
            new[name]?.string.map { ExecText.shown($0, limit) }.flatMap { $0.isEmpty ? nil : $0 }
        }
        return .new(
            Item(
                key: key, contentKey: text("contentKey", 512), threadKey: text("threadKey", 512),
                sender: text("sender", 512), senderAddress: text("senderAddress", 512), title: text("title", 4096),
                preview: text("preview", 1024), time: new["time"]?.string.flatMap { Timestamp($0) }))
    }
}

/// Texts of programs.
enum ExecText {
    /// Safe to show: spaces for line ends and tabs, no other control characters, no overrides of the direction of
    /// writing, at most so many bytes.
    static func shown(_ text: String, _ limit: Int) -> String {
        var shown = String.UnicodeScalarView()
        var bytes = 0
        for scalar in text.unicodeScalars {
            var scalar = scalar
            switch scalar.value {
            case 0x09, 0x0A, 0x0D, 0x2028, 0x2029: scalar = " "
            case 0..<0x20, 0x7F...0x9F, 0x202A...0x202E, 0x2066...0x2069, 0xFEFF: continue
            default: break
            }
            bytes += UTF8.width(scalar)
            if bytes > limit { break }
            shown.append(scalar)
        }
        return String(shown).trimmingSpace
    }
}
