internal import Base

/// The JSON document of a push, for services that carry a document of ours:
/// `{notification,app,title,body?,badge,collapse,tap,reply?}`, without the texts for a `wakeup` device (MN-13),
/// and `{clear:[…],badge,collapse}` to take notifications back.
package enum PushDocument {
    /// The document of a push in at most `limit` bytes: texts are shortened as `PushText` does, and of
    /// a clearing push those ids are left out that do not fit, the last ones first.
    /// - Parameter idOnly: leaves the texts out for any device: what is sent when a service found the
    ///   document too large.
    /// - Returns: nil when even the ids do not fit.
    package static func bytes(of push: Push, limit: Int, idOnly: Bool = false) -> [UInt8]? {
        switch push.content {
        case .alert(let notification):
            if idOnly || push.payload == .wakeup {
                let bytes = json(of: notification, title: nil, body: nil).serializedBytes
                return bytes.count <= limit ? bytes : nil
            }
            return PushText.fit(title: notification.title, body: notification.body, limit: limit) { title, body in
                json(of: notification, title: title, body: body).serializedBytes
            }
        case .clear(let ids, let collapse, let badge):
            return clear(ids, limit: limit) { ids in
                let document: JSONObject = [
                    "clear": .strings(ids.map(\.text)), "badge": .integer(badge), "collapse": .string(collapse),
                ]
                return JSON.object(document).serializedBytes
            }
        }
    }

    /// What RFC 8188 and RFC 8291 add to a message of one record: header 86, delimiter 1, tag 16 bytes.
    package static let sealingOverhead = 103
    /// Characters of the longest sealed document: 4096 bytes, what one record has, in base64url.
    package static let sealedLimit = 5462

    /// The document sealed for the device, as base64url for a service that carries JSON.
    /// - Parameters:
    ///   - limit: characters of the result.
    ///   - seal: encrypts for the device (RFC 8291, `aes128gcm`).
    /// - Returns: nil when even the ids do not fit.
    package static func sealed(
        of push: Push, limit: Int, seal: (_ plain: [UInt8]) throws -> [UInt8]
    ) rethrows -> String? {
        guard let plain = bytes(of: push, limit: limit / 4 * 3 - sealingOverhead) else { return nil }
        return try seal(plain).base64URL
    }

    /// Renders as many of the ids as fit into `limit` bytes; nil when not even one does. What is left
    /// out stays on the device until its client opens and reconciles.
    package static func clear(
        _ ids: [NotificationID], limit: Int, render: ([NotificationID]) -> [UInt8]
    ) -> [UInt8]? {
        var size = render([]).count
        guard size <= limit else { return nil }
        var kept = 0
        for id in ids {
            size += JSON.string(id.text).serializedBytes.count + (kept == 0 ? 0 : 1)
            if size > limit { break }
            kept += 1
        }
        return kept == 0 && !ids.isEmpty ? nil : render(Array(ids.prefix(kept)))
    }

    private static func json(of notification: Notification, title: String?, body: String?) -> JSON {
        var document: JSONObject = [
            "notification": .string(notification.id.text), "app": .string(notification.app?.text ?? ""),
        ]
        if let title { document.append("title", .string(title)) }
        if let body { document.append("body", .string(body)) }
        document.append("badge", .integer(notification.badge))
        document.append("collapse", .string(notification.collapse))
        document.append("tap", .string(notification.tap))
        if notification.isAnswerable { document.append("reply", .bool(true)) }
        return .object(document)
    }
}

/// Shortens a notification's texts until the document around them fits a push service's limit.
package enum PushText {
    /// What a shortened text ends in.
    package static let ellipsis = "…"

    /// Renders the texts, shortened where that is needed: whole characters (grapheme clusters) go from
    /// the end of the text that is longest at that moment, and an ellipsis says so.
    /// - Parameters:
    ///   - limit: bytes of the rendered document.
    ///   - cost: bytes that a character has in the document; by default, as JSON strings have it.
    ///   - render: makes the document; its size must grow with the texts by what `cost` says.
    /// - Returns: nil when the document does not fit even without the texts.
    package static func fit(
        title: String, body: String?, limit: Int, cost: (Character) -> Int = PushText.jsonCost,
        render: (_ title: String, _ body: String?) -> [UInt8]
    ) -> [UInt8]? {
        if title.utf8.count + (body?.utf8.count ?? 0) <= limit {
            // Nearly all texts fit, and need not be taken apart.
            let whole = render(title, body)
            if whole.count <= limit { return whole }
        }
        let frame = render("", body.map { _ in "" }).count
        guard frame <= limit else { return nil }
        var title = Field(title, limit: limit - frame, cost)
        var body = body.map { Field($0, limit: limit - frame, cost) }
        while frame + title.size + (body?.size ?? 0) > limit {
            let bodyIsLonger = (body?.size ?? 0) >= title.size
            if bodyIsLonger, body?.shorten() == true { continue }
            if title.shorten() { continue }
            if body?.shorten() == true { continue }
            return nil
        }
        return render(title.text, body?.text)
    }

    /// Bytes of a character in a JSON string.
    package static func jsonCost(_ character: Character) -> Int {
        JSON.string(String(character)).serializedBytes.count - 2
    }

    /// One text on its way to becoming shorter.
    private struct Field {
        private var characters: [Character] = []
        /// Bytes of each character in the document.
        private var sizes: [Int] = []
        private var isCut = false
        /// Bytes of the text between its quotes.
        private(set) var size = 0

        /// Reads no more of the text than could be kept, so that a huge one costs no more than the limit.
        init(_ text: String, limit: Int, _ cost: (Character) -> Int) {
            for character in text {
                guard size <= limit else {
                    isCut = true
                    size += PushText.ellipsis.utf8.count
                    break
                }
                let bytes = cost(character)
                characters.append(character)
                sizes.append(bytes)
                size += bytes
            }
        }

        var text: String { String(characters) + (isCut ? PushText.ellipsis : "") }

        /// Takes one character away; false when nothing is left to take.
        mutating func shorten() -> Bool {
            guard let bytes = sizes.popLast() else {
                guard isCut else { return false }
                isCut = false
                size = 0
                return true
            }
            characters.removeLast()
            size -= bytes
            if !isCut {
                isCut = true
                size += PushText.ellipsis.utf8.count
            }
            return true
        }
    }
}
