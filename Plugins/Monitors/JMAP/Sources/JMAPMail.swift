internal import Base
internal import Gateway
internal import MonitorTools
internal import Mail

/// Which mailboxes ring, out of those a user has.
struct JMAPMailboxes: Sendable, Hashable {
    /// Roles of mailboxes whose mail is no news, also when it is in another one too.
    private static let silentRoles: Set<String> = ["junk", "trash", "drafts", "sent"]

    private(set) var watched: Set<String> = []
    private(set) var silent: Set<String> = []
    private var all: Set<String> = []

    init() {}

    /// - Parameter wanted: roles (RFC 8621 section 2) or names.
    /// - Throws: `MonitorFailure` when none of them is there.
    init(_ list: [JSON], wanted: [String]) throws {
        let roles = Set(wanted.map { $0.lowercased() })
        for mailbox in list {
            guard let id = mailbox["id"]?.string else { continue }
            all.insert(id)
            let role = mailbox["role"]?.string?.lowercased()
            if role.map(roles.contains) == true || mailbox["name"]?.string.map(wanted.contains) == true {
                watched.insert(id)
            } else if role.map(Self.silentRoles.contains) == true {
                silent.insert(id)
            }
        }
        guard !watched.isEmpty else {
            throw MonitorFailure(.sourceGone, "the account has none of the mailboxes that are to be watched")
        }
    }

    func knows(_ ids: Set<String>) -> Bool { ids.isSubset(of: all) }

    func rings(_ ids: Set<String>) -> Bool { !watched.isDisjoint(with: ids) && silent.isDisjoint(with: ids) }
}

/// What a monitor needs of a message (RFC 8621 section 4).
struct JMAPEmail: Sendable, Hashable {
    static let newsProperties: JSON = [
        "id", "threadId", "mailboxIds", "keywords", "receivedAt", "from", "subject", "preview", "messageId",
    ]
    static let changeProperties: JSON = ["id", "mailboxIds", "keywords"]

    let id: String
    let mailboxes: Set<String>
    let isSeen: Bool
    let isDraft: Bool
    let received: Timestamp?
    let item: Item

    init?(_ json: JSON) {
        guard let id = json["id"]?.string, (1...255).contains(id.utf8.count) else { return nil }
        func names(_ key: String) -> Set<String> {
            Set((json[key]?.object?.members ?? []).filter { $0.value.bool == true }.map(\.key))
        }
        func text(_ json: JSON?, _ limit: MailText.Limit) -> String? {
            let shown = json?.string.map { MailText.displayable($0, limit: limit) }
            return shown?.isEmpty == false ? shown : nil
        }
        let keywords = Set(names("keywords").map { $0.lowercased() })
        self.id = id
        mailboxes = names("mailboxIds")
        (isSeen, isDraft) = (keywords.contains("$seen"), keywords.contains("$draft"))
        received = json["receivedAt"]?.string.flatMap { Timestamp($0) }
        let from = json["from"]?[0]
        let address = text(from?["email"], .identifier)
        item = Item(
            key: ListCursor.key(id), contentKey: text(json["messageId"]?[0], .identifier),
            threadKey: text(json["threadId"], .identifier), sender: text(from?["name"], .name) ?? address,
            senderAddress: address, title: text(json["subject"], .subject), preview: text(json["preview"], .preview),
            time: received)
    }

    /// What it is remembered by when ids may change.
    var identifier: String { item.contentKey ?? id }

    func isNews(_ mailboxes: JMAPMailboxes) -> Bool { !isSeen && !isDraft && mailboxes.rings(self.mailboxes) }
}
