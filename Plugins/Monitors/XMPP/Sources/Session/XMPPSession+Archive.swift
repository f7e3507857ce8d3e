internal import Base
internal import Gateway
internal import XML
internal import XMPPTools

// The account's archive (XEP-0313), and what comes unasked.
extension XMPPSession {
    /// Asks for what came after the cursor, or, without one, where the archive ends.
    mutating func askArchive(_ instant: Instant) -> [Action] {
        (isDirty, hasMore, pending) = (false, false, [])
        state = cursor == nil ? .baseline : .catchingUp
        var fields = [Self.field("FORM_TYPE", XMPPNamespace.archive, type: "hidden")]
        var set: [XMLElement] = []
        if let cursor {
            if asksByTime || cursor.last == nil, let time = cursor.time {
                fields.append(Self.field("start", time.description, type: nil))
            } else if let last = cursor.last {
                set.append(XMLElement("after", in: XMPPNamespace.resultSet, text: last))
            }
        } else {
            set.append(XMLElement("before", in: XMPPNamespace.resultSet))
        }
        set.insert(XMLElement("max", in: XMPPNamespace.resultSet, text: cursor == nil ? "1" : "\(page)"), at: 0)
        let query = XMLElement(
            "query", in: XMPPNamespace.archive, ["queryid": "f\(lastRequest + 1)"],
            children: [
                XMLElement("x", in: XMPPNamespace.dataForm, ["type": "submit"], children: fields),
                XMLElement("set", in: XMPPNamespace.resultSet, children: set),
            ])
        expectAnswer(instant)
        return [.send(request("set", to: nil, query))]
    }

    private static func field(_ name: String, _ value: String, type: String?) -> XMLElement {
        var field = XMLElement(
            "field", in: XMPPNamespace.dataForm, ["var": name],
            children: [XMLElement("value", in: XMPPNamespace.dataForm, text: value)])
        if let type { field.attributes.append(XMLAttribute(XMLName("type"), type)) }
        return field
    }

    /// Any stanza of a session that is bound.
    mutating func stanza(_ element: XMLElement, _ instant: Instant) -> [Action] {
        guard element.name.namespace == XMPPNamespace.client else { return [] }
        switch element.name.local {
        case "iq": return query(element, instant)
        case "message": return message(element, instant)
        // Presence is of no interest, and subscriptions are the user's to answer.
        default: return []
        }
    }

    private mutating func query(_ iq: XMLElement, _ instant: Instant) -> [Action] {
        switch iq.attribute("type") {
        case "get", "set": return [answer(iq)]
        case "result", "error": break
        default: return []
        }
        guard isAnswer(iq) else { return [] }
        switch state {
        // An error is an answer, too: the server lives (XEP-0199 section 4.2).
        case .pinging: return isDirty ? askArchive(instant) : settleAfterPing(instant)
        case .baseline, .catchingUp: return archiveAnswered(iq, instant)
        default: return []
        }
    }

    private mutating func settleAfterPing(_ instant: Instant) -> [Action] {
        state = .watching
        rest(instant)
        return []
    }

    /// Pings are answered, everything else is refused (RFC 6120 section 8.2.3).
    private func answer(_ iq: XMLElement) -> Action {
        let isPing = iq.attribute("type") == "get" && iq.child("ping", in: XMPPNamespace.ping) != nil
        var answer = XMLElement("iq", in: XMPPNamespace.client, ["type": isPing ? "result" : "error"])
        for (name, source) in [("id", "id"), ("to", "from")] {
            if let value = iq.attribute(source) { answer.attributes.append(XMLAttribute(XMLName(name), value)) }
        }
        if !isPing {
            let condition = XMLElement("service-unavailable", in: XMPPNamespace.stanzaErrors)
            let error = XMLElement("error", in: XMPPNamespace.client, ["type": "cancel"], children: [condition])
            answer.nodes = [.element(error)]
        }
        return send(answer)
    }

    private mutating func message(_ message: XMLElement, _ instant: Instant) -> [Action] {
        let from = message.attribute("from").map(XMPPMessage.bare) ?? own
        if let result = message.child("result", in: XMPPNamespace.archive) {
            // Only the account itself answers for its archive (XEP-0313 section 10).
            if from == own { archived(result) }
            return []
        }
        var content = message
        for name in ["sent", "received"] {
            guard let copy = message.child(name, in: XMPPNamespace.carbons) else { continue }
            // Anybody can write something that looks like a copy (CVE-2017-5589).
            guard from == own,
                let inner = copy.child("forwarded", in: XMPPNamespace.forward)?.child(
                    "message", in: XMPPNamespace.client)
            else { return [] }
            content = inner
        }
        guard let meaning = XMPPMessage(content, own: own) else { return [] }
        // Servers need not archive markers: what a device of ours has said is taken at once.
        if case .shown(let chat, let id) = meaning, from == own, state == .watching, var next = cursor {
            let keys = next.shown(chat: chat, upTo: id)
            guard !keys.isEmpty else { return [] }
            cursor = next
            state = .storing
            isDirty = true
            wait()
            return [.emit(MonitorBatch(changes: keys.map { .seen(key: $0) }, cursor: next.encoded))]
        }
        isDirty = true
        return state == .watching ? askArchive(instant) : []
    }

    private mutating func archived(_ result: XMLElement) {
        guard state == .baseline || state == .catchingUp, result.attribute("queryid") == "f\(lastRequest)",
            let id = result.attribute("id"), XMPPCursor.isUsable(id), pending.count < Self.pageLimit,
            let forwarded = result.child("forwarded", in: XMPPNamespace.forward)
        else { return }
        let time = forwarded.child("delay", in: XMPPNamespace.delay)?.attribute("stamp").flatMap { Timestamp($0) }
        let message = forwarded.child("message", in: XMPPNamespace.client).flatMap { XMPPMessage($0, own: own) }
        pending.append(ArchiveEntry(id: id, time: time, message: message))
    }

    private mutating func archiveAnswered(_ iq: XMLElement, _ instant: Instant) -> [Action] {
        guard iq.attribute("type") == "result", let end = iq.child("fin", in: XMPPNamespace.archive) else {
            let condition = XMPPFailure.condition(iq)
            // The id is not in the archive any more (XEP-0313 section 4.3.2).
            if condition == "item-not-found", !asksByTime, cursor?.time != nil {
                asksByTime = true
                return askArchive(instant)
            }
            if condition == "service-unavailable" || condition == "feature-not-implemented" {
                let text = "the server keeps no message archive (XEP-0313), which this monitor needs"
                return [.fail(MonitorFailure(.protocolViolation, text))]
            }
            return [.fail(XMPPFailure.stanza(iq, to: "the archive", now: instant.now))]
        }
        guard let known = cursor else {
            var fresh = XMPPCursor(last: pending.last?.id, time: pending.last?.time)
            if fresh.last == nil { fresh.time = nil }
            cursor = fresh
            return store([], fresh)
        }
        let isComplete = end.attribute("complete") == "true" || end.attribute("complete") == "1"
        guard !pending.isEmpty else { return isDirty ? askArchive(instant) : settle(instant) }
        hasMore = !isComplete
        // By time the last entry comes again and again: it is the end when nothing else does.
        if asksByTime, isComplete || pending.last?.id != known.last { asksByTime = false }
        var next = known
        let changes = pending.flatMap { Self.changes($0, &next) }
        (next.last, next.time) = (pending.last?.id, pending.last?.time ?? next.time)
        pending = []
        cursor = next
        return store(changes, next)
    }

    private mutating func store(_ changes: [MonitorBatch.Change], _ cursor: XMPPCursor) -> [Action] {
        state = .storing
        wait()
        return [.emit(MonitorBatch(changes: changes, cursor: cursor.encoded))]
    }

    private static func changes(_ entry: ArchiveEntry, _ cursor: inout XMPPCursor) -> [MonitorBatch.Change] {
        switch entry.message {
        case nil: return []
        case .text(let text):
            // Without an id of its own nobody can mark it, and the archive's is as good as any.
            let key = text.id.map { XMPPCursor.key(chat: text.chat, id: $0) } ?? "\(text.chat)//\(entry.id)"
            if let id = text.id { cursor.follow(chat: text.chat, id: id) }
            return [
                .new(
                    Item(
                        key: key, threadKey: text.chat, sender: XMPPMessage.shown(text.chat, XMPPMessage.idLimit),
                        senderAddress: text.chat, title: text.title, preview: text.preview, time: entry.time))
            ]
        case .shown(let chat, let id): return cursor.shown(chat: chat, upTo: id).map { .seen(key: $0) }
        case .retracted(let chat, let id):
            cursor.forget(chat: chat, id: id)
            return [.gone(key: XMPPCursor.key(chat: chat, id: id))]
        }
    }
}
