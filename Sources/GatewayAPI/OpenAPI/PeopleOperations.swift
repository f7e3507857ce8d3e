internal import Base
internal import Gateway

/// Contacts, blocks and the own status.
extension OpenAPI {
    static let peopleOperations = [
        Operation(
            method: "GET", path: "/v1/contacts", access: .device,
            summary: "The account's contacts with their presence, and wishes that wait for an answer",
            query: ["limit", "after"], answers: [(200, .json("ContactPage"))]),
        Operation(
            method: "GET", path: "/v1/contacts/{account}", access: .device, summary: "One contact",
            answers: [(200, .json("Contact"))], problems: [404]),
        Operation(
            method: "PUT", path: "/v1/contacts/{account}", access: .device,
            summary: """
                Asks another account to be a contact, or agrees to its wish. Where people.contacts is "directory" it is \
                one at once; else an account that does not exist looks like one that has not answered
                """,
            body: "Empty", isBodyOptional: true, answers: [(200, .json("Contact"))], problems: [404]),
        Operation(
            method: "DELETE", path: "/v1/contacts/{account}", access: .device,
            summary: "Ends a contact for both, takes a wish back, or turns the other's down", answers: [(204, .none)],
            problems: [400]),
        Operation(
            method: "GET", path: "/v1/blocks", access: .device, summary: "Accounts the account has blocked",
            query: ["limit", "after"], answers: [(200, .json("BlockPage"))]),
        Operation(
            method: "PUT", path: "/v1/blocks/{account}", access: .device,
            summary: """
                Blocks an account: what it sends is answered as if there were no such account here, and neither sees \
                the other's presence
                """,
            body: "Empty", isBodyOptional: true, answers: [(204, .none)]),
        Operation(
            method: "DELETE", path: "/v1/blocks/{account}", access: .device, summary: "Ends a block",
            answers: [(204, .none)], problems: [400]),
        Operation(
            method: "GET", path: "/v1/status", access: .device, summary: "What the account says of itself",
            answers: [(200, .json("OwnStatus"))]),
        Operation(
            method: "PUT", path: "/v1/status", access: .device,
            summary: """
                Changes what the account says of itself; what is left out stays, but for the text, which goes with \
                the status. Contacts get a presence event
                """,
            body: "OwnStatusChange", answers: [(200, .json("OwnStatus"))]),
    ]

    private static let settings: [(String, JSON)] = [
        (
            "fromSessions",
            describedFlag("Clients of remote apps count: one in front is being here, only hidden ones are being away")
        ),
        ("showLastSeen", describedFlag("Contacts see since when the account is offline")),
        ("tellApps", describedFlag("Applications that the account has registered for, and that want it, are told")),
    ]

    private static func describedFlag(_ text: String) -> JSON { ["type": "boolean", "description": .string(text)] }

    private static let presence: [(String, JSON)] = [
        ("status", Schema.words(AccountPresence.State.self)),
        ("text?", Schema.string("The account's own words")),
        ("lastSeen?", Schema.time),
    ]

    static let people: KeyValuePairs<String, JSON> = [
        "Contact": Schema.object(
            [
                ("account", Schema.string), ("state", Schema.words(ContactState.self)), ("blocked", Schema.boolean),
                ("since", Schema.time), ("kind?", Schema.words(Account.Kind.self)),
            ] + presence),
        "ContactPage": Schema.page("Contact"),
        "Block": Schema.object(["account": Schema.string, "since": Schema.time]),
        "BlockPage": Schema.page("Block"),
        "OwnStatus": Schema.object(
            [("status", Schema.words(OwnStatus.Word.self)), ("text?", Schema.string)] + settings
                + [("seenAs", Schema.words(AccountPresence.State.self))]),
        "OwnStatusChange": Schema.object(
            [
                (
                    "status?",
                    Schema.string(
                        "online, busy, away, lunch, invisible, or up to \(OwnStatus.textLimit) characters of one's own")
                ),
                ("text?", Schema.string("Own words beside the status; empty: none")),
            ] + settings.map { ($0.0 + "?", $0.1) }),
    ]
}
