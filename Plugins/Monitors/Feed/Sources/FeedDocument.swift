internal import Base
internal import Gateway
internal import MonitorTools
internal import Mail
internal import XML

/// Reads feeds: RSS 2.0 and its forerunners, RSS 1.0 (RDF), and Atom (RFC 4287).
enum FeedDocument {
    private static let dublinCore = "http://purl.org/dc/elements/1.1/"
    private static let content = "http://purl.org/rss/1.0/modules/content/"
    private static let rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

    /// The entries in the feed's order, which is mostly newest first.
    /// - Parameter charset: the character set that the transport named.
    /// - Throws: `MonitorFailure`.
    static func entries(_ bytes: [UInt8], charset: String?) throws -> [ListWatch.Entry] {
        let root = try parse(cleaned(bytes), charset)
        let items: [Item]
        switch root.name.local {
        case "rss": items = (root.child("channel")?.children("item") ?? []).map(rss)
        case "RDF": items = root.children.filter { $0.name.local == "item" }.map(rss)
        case "feed": items = root.children("entry").map(atom)
        default: throw MonitorFailure(.protocolViolation, "the document is neither RSS nor Atom")
        }
        return items.prefix(ListCursor.knownLimit).map { ListWatch.Entry($0) }
    }

    /// More than enough for feeds; what is beyond is somebody's mistake or mischief.
    private static let limits = XMLLimits.document()

    private static func parse(_ bytes: [UInt8], _ charset: String?) throws -> XMLElement {
        do throws(XMLError) {
            return try XMLElement(parsing: bytes, limits: limits, encoding: charset)
        } catch {
            // Servers are often set to a character set that is not the document's.
            if charset != nil, let element = try? XMLElement(parsing: bytes, limits: limits) { return element }
            throw MonitorFailure(.protocolViolation, "the feed is not XML that can be read: \(error)")
        }
    }

    /// Without control characters, which XML forbids and feeds have. Texts of two bytes a character stay as they are.
    private static func cleaned(_ bytes: [UInt8]) -> [UInt8] {
        let isWide =
            bytes.starts(with: [0xFE, 0xFF]) || bytes.starts(with: [0xFF, 0xFE])
            || bytes.starts(with: [0, 0x3C]) || bytes.starts(with: [0x3C, 0])
        func isBad(_ byte: UInt8) -> Bool { byte < 0x20 && byte != 0x09 && byte != 0x0A && byte != 0x0D }
        // ESC begins the shifts of ISO-2022.
        guard !isWide, !bytes.contains(0x1B), bytes.contains(where: isBad) else { return bytes }
        return bytes.filter { !isBad($0) }
    }

    // MARK: RSS

    private static func rss(_ element: XMLElement) -> Item {
        let link = nonEmpty(element.text(of: "link"))
        let identifier =
            nonEmpty(element.text(of: "guid")) ?? nonEmpty(element.attribute("about", in: rdf)) ?? link
        let date = nonEmpty(element.text(of: "pubDate")) ?? nonEmpty(element.text(of: "date", in: dublinCore))
        let text = nonEmpty(element.text(of: "description")) ?? element.text(of: "encoded", in: content)
        // RSS has an address with the name behind it in brackets; Dublin Core the name.
        let author = nonEmpty(element.text(of: "author"))
        let creator = nonEmpty(element.text(of: "creator", in: dublinCore))
        let sender = creator ?? author.map(name)
        return item(
            identifier, title: element.text(of: "title"), isHTML: true, text: text, sender: sender,
            address: author.flatMap(address), time: date.flatMap(time))
    }

    private static func name(_ author: String) -> String {
        guard let open = author.firstIndex(of: "("), let close = author.lastIndex(of: ")"), open < close else {
            return author
        }
        return String(author[author.index(after: open)..<close])
    }

    private static func address(_ author: String) -> String? {
        author.split(separator: " ").map(String.init).first { $0.contains("@") }
    }

    // MARK: Atom

    private static func atom(_ element: XMLElement) -> Item {
        let links = element.children("link")
        let link = links.first { $0.attribute("rel") == nil || $0.attribute("rel") == "alternate" }
        let title = element.child("title")
        let text = element.child("summary") ?? element.child("content")
        let author = element.child("author")
        let date =
            nonEmpty(element.text(of: "published")) ?? nonEmpty(element.text(of: "issued"))
            ?? nonEmpty(element.text(of: "updated")) ?? nonEmpty(element.text(of: "modified"))
        return item(
            nonEmpty(element.text(of: "id")) ?? link?.attribute("href"), title: title?.allText,
            isHTML: title?.attribute("type") == "html", text: text?.allText, sender: author?.text(of: "name"),
            address: author?.text(of: "email"), time: date.flatMap(time))
    }

    // MARK: Both

    private static func item(
        _ identifier: String?, title: String?, isHTML: Bool, text: String?, sender: String?, address: String?,
        time: Timestamp?
    ) -> Item {
        let shownTitle = FeedText.shown(title, .subject, isHTML: isHTML)
        let preview = FeedText.shown(text, .preview)
        let key: String
        if let identifier {
            key = ListCursor.key(identifier)
        } else {
            // Without an id or link it is known by its words; changed ones then make another entry.
            let words = [shownTitle ?? preview ?? "", time?.description ?? ""].joined(separator: "\n")
            key = "hash:\(String(ListCursor.hash(words), radix: 16))"
        }
        return Item(
            key: key, contentKey: identifier.map { MailText.displayable($0, limit: .identifier) },
            sender: FeedText.shown(sender, .name), senderAddress: FeedText.shown(address, .identifier),
            title: shownTitle ?? preview, preview: shownTitle == nil ? nil : preview, time: time)
    }

    private static func nonEmpty(_ text: String?) -> String? {
        let trimmed = text?.trimmingSpace
        return trimmed?.isEmpty == false ? trimmed : nil
    }

    /// RFC 3339 as Atom has it, or the date of a mail as RSS has it.
    static func time(_ text: String) -> Timestamp? {
        Timestamp(text) ?? Timestamp(text + "T00:00:00Z")
            ?? MailHeaders(parsing: Array("Date: \(text.prefix(64))\n\n".utf8)).date("Date")
    }
}
