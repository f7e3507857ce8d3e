internal import Base
internal import Gateway

/// The routes of conversations.
extension OpenAPI {
    static let conversationOperations = [
        Operation(
            method: "GET", path: "/v1/conversations", access: .party,
            summary: "The caller's conversations, newest first, with what is unread and how far each side has read",
            query: ["limit", "after"], answers: [(200, .json("ConversationPage"))]),
        Operation(
            method: "GET", path: "/v1/conversations/{peer}", access: .party,
            summary: """
                A conversation's history, oldest first: the newest entries, those before or those after an entry's \
                number. The peer is written as in the answers (account%2Fbob, app%2Foa); a bare name is an app's, else \
                an account's. Nothing is said of whether there is such an account
                """,
            query: ["limit", "before", "after"], answers: [(200, .json("History"))], problems: [404]),
        Operation(
            method: "POST", path: "/v1/conversations/{peer}/read", access: .party,
            summary: """
                Says that everything up to an entry was read: notifications go, an account's messages up to there are \
                settled, the other side and the own devices hear of it
                """,
            body: "ReadMark", answers: [(204, .none)], problems: [404]),
        Operation(
            method: "POST", path: "/v1/conversations/{peer}/typing", access: .party,
            summary: "Tells the other side's connected devices that something is being written; may be dropped",
            body: "Typing", answers: [(204, .none)], problems: [404]),
        Operation(
            method: "PATCH", path: "/v1/messages/{id}", access: .party,
            summary: "Gives a message of the caller's a new text, within limits.editSeconds", body: "MessageEdit",
            answers: [(200, .json("HistoryEntry"))], problems: [409, 507]),
        Operation(
            method: "DELETE", path: "/v1/messages/{id}", access: .party,
            summary: "Takes a message of the caller's back, within limits.editSeconds; may be repeated",
            answers: [(204, .none)], problems: [409]),
        Operation(
            method: "GET", path: "/v1/account/export", access: .device,
            summary: """
                Everything that is kept of the account, page by page; no token, credential or key. Each item has a \
                type: account, device, registration, status, contact, block, conversation, message
                """,
            query: ["limit", "after"], answers: [(200, .json("ExportPage"))]),
        Operation(
            method: "DELETE", path: "/v1/account", access: .basic,
            summary: "Ends the account with everything it has; its conversations end for their other side, too",
            answers: [(204, .none)]),
        Operation(
            method: "GET", path: "/v1/admin/accounts/{id}/export", access: .admin,
            summary: "Everything that is kept of an account, as the account itself can have it",
            query: ["limit", "after"], answers: [(200, .json("ExportPage"))]),
    ]

    private static let entryFields: [(String, JSON)] = [
        ("number", Schema.integer),
        ("id", Schema.string("The message it was sent as: of several, the first")),
        ("from", Schema.string("account/NAME or app/NAME")), ("at", Schema.time), ("header", Schema.stringMap),
        ("subject", Schema.nullableString), ("body", Schema.string), ("correlation?", Schema.string),
        ("attachments?", Schema.named("Attachments")), ("edited?", Schema.time),
        ("withdrawn?", Schema.time),
    ]
    private static let views: [(String, JSON)] = [
        ("peer", Schema.string("account/NAME or app/NAME")), ("kind", Schema.words(["account", "app"])),
        ("read", Schema.integer), ("peerRead", Schema.integer), ("peerDelivered", Schema.integer),
        ("unread", Schema.integer(0...ConversationView.unreadLimit)),
    ]

    static let conversations: KeyValuePairs<String, JSON> = [
        "Attachments": Schema.array(
            Schema.object([
                "url": Schema.string("https; never fetched by the gateway"), "contentType": Schema.string,
                "name?": Schema.string, "sizeBytes": Schema.integer,
            ]), atMost: Attachment.limit, "Files that lie elsewhere"),
        "HistoryEntry": Schema.object(entryFields),
        "TracedEntry": Schema.object(
            entryFields + [("state", Schema.words(ConversationView.EntryState.self))]),
        "Conversation": Schema.object(
            views + [
                ("name", Schema.string), ("last", Schema.oneOf(Schema.named("TracedEntry"), ["type": "null"])),
            ]),
        "ConversationPage": Schema.page("Conversation"),
        "History": Schema.object(
            views + [("items", Schema.array(Schema.named("TracedEntry"))), ("next", Schema.nullableString)]),
        "ExportPage": Schema.object([
            "items": Schema.array([
                "type": "object", "required": ["type"],
                "properties": [
                    "type": Schema.words([
                        "account", "device", "registration", "status", "contact", "block", "conversation", "message",
                    ])
                ],
            ]), "next": Schema.nullableString,
        ]),
        "ReadMark": Schema.object(["upTo": Schema.integer]),
        "Typing": Schema.object(["state": Schema.words(TypingState.self)]),
        "MessageEdit": Schema.object(["body": Schema.string, "subject?": Schema.nullableString]),
    ]
}
