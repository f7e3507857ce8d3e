internal import Base
internal import Gateway

/// Conversations in JSON.
enum ConversationCodec {
    // MARK: Entries

    /// - Parameter state: how far it has come, where that is asked.
    static func write(_ entry: HistoryEntry, _ state: ConversationView.EntryState?, to text: inout JSONText) {
        text.add("number", entry.number)
        text.add("id", entry.message.description)
        text.add("from", entry.sender.description)
        text.add("at", entry.at)
        text.object("header") { text in
            for (name, value) in entry.header.sorted(by: { $0.key < $1.key }) { text.add(foreign: name, value) }
        }
        if let subject = entry.subject { text.add("subject", subject) } else { text.addNull("subject") }
        text.add("body", String(decoding: entry.body, as: UTF8.self))
        if let correlation = entry.correlation { text.add("correlation", correlation) }
        if !entry.attachments.isEmpty { write(entry.attachments, to: &text) }
        if let state { text.add("state", state.rawValue) }
        if let edited = entry.edited { text.add("edited", edited) }
        if let withdrawn = entry.withdrawn { text.add("withdrawn", withdrawn) }
    }

    static func write(_ attachments: [Attachment], to text: inout JSONText) {
        text.array("attachments") { text in
            for attachment in attachments {
                text.object { text in
                    text.add("url", attachment.url)
                    text.add("contentType", attachment.contentType)
                    if let name = attachment.name { text.add("name", name) }
                    text.add("sizeBytes", attachment.sizeBytes)
                }
            }
        }
    }

    static func json(_ attachments: [Attachment]) -> JSON {
        .array(
            attachments.map { attachment in
                var object: JSONObject = [
                    "url": .string(attachment.url), "contentType": .string(attachment.contentType),
                ]
                if let name = attachment.name { object.append("name", .string(name)) }
                object.append("sizeBytes", .integer(attachment.sizeBytes))
                return .object(object)
            })
    }

    static func json(of entry: HistoryEntry) -> JSON {
        guard let json = try? JSONParser.parse(bytes(of: entry)) else {
            preconditionFailure("what was just written can be read")
        }
        return json
    }

    static func bytes(of entry: HistoryEntry) -> [UInt8] {
        var text = JSONText(capacity: capacity(entry))
        text.object { write(entry, nil, to: &$0) }
        return text.bytes
    }

    /// What an entry takes, roughly.
    private static func capacity(_ entry: HistoryEntry) -> Int { 256 + entry.body.count + entry.header.count * 64 }

    // MARK: The stream

    static func event(_ entry: HistoryEntry, peer: QueueAddress) -> [UInt8] {
        var text = JSONText(capacity: capacity(entry) + 32)
        text.object { text in
            text.add("peer", peer.description)
            text.object("entry") { write(entry, nil, to: &$0) }
        }
        return text.bytes
    }

    static func event(_ state: TypingState, peer: QueueAddress) -> [UInt8] {
        let json: JSON = [
            "peer": .string(peer.description),
            "typing": [
                "state": .string(state.rawValue), "seconds": .integer(TypingTable.lifetime.wholeSeconds),
            ],
        ]
        return json.serializedBytes
    }

    // MARK: Lists

    /// - Parameter name: what people call an end.
    static func page(
        _ views: [ConversationView], limit: Int, name: (QueueAddress) -> String
    ) -> [UInt8] {
        let page = views.prefix(limit)
        var text = JSONText(capacity: page.reduce(64) { $0 + 256 + ($1.entry.map(capacity) ?? 0) })
        text.object { text in
            text.array("items") { text in
                for view in page {
                    text.object { text in
                        writeMarks(of: view, to: &text)
                        text.add("name", name(view.peer))
                        text.add("unread", Int64(view.unread))
                        if let entry = view.entry {
                            text.object("last") { write(entry, view.state(of: entry), to: &$0) }
                        } else {
                            text.addNull("last")
                        }
                    }
                }
            }
            next(views.count > limit ? page.last?.last : nil, to: &text)
        }
        return text.bytes
    }

    /// - Parameters:
    ///   - entries: oldest first; one more than the limit shows that there is a further page.
    ///   - range: which way they were read.
    static func history(
        _ view: ConversationView, _ entries: [HistoryEntry], _ range: HistoryRange, limit: Int
    ) -> [UInt8] {
        let isMore = entries.count > limit
        let (page, onwards): (ArraySlice<HistoryEntry>, Int64?) =
            switch range {
            case .before: (entries.suffix(limit), entries.suffix(limit).first?.number)
            case .after: (entries.prefix(limit), entries.prefix(limit).last?.number)
            }
        var text = JSONText(capacity: page.reduce(256) { $0 + capacity($1) })
        text.object { text in
            writeMarks(of: view, to: &text)
            text.add("unread", Int64(view.unread))
            text.array("items") { text in
                for entry in page { text.object { write(entry, view.state(of: entry), to: &$0) } }
            }
            next(isMore ? onwards : nil, to: &text)
        }
        return text.bytes
    }

    private static func writeMarks(of view: ConversationView, to text: inout JSONText) {
        text.add("peer", view.peer.description)
        text.add("kind", view.peer.isStreamed ? "account" : "app")
        text.add("read", view.own.read)
        text.add("peerRead", view.others.read)
        text.add("peerDelivered", view.others.delivered)
    }

    private static func next(_ number: Int64?, to text: inout JSONText) {
        if let number { text.add("next", String(number)) } else { text.addNull("next") }
    }
}
