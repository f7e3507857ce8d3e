internal import Base

/// Calls of servers that tell their news by themselves.
extension OpenAPI {
    private static let summary = """
        News of the app's server, in the form its monitor takes and proved the way it asks for. Answered when it is \
        stored (204), or accepted where it only says that there is some (202). Whether an account is registered makes no \
        difference to the answer. Microsoft Graph's `validationToken` is repeated (200)
        """

    static let hookOperations = ["POST", "PUT"].map { method in
        Operation(
            method: method, path: "/hooks/{app}", access: .open, summary: summary, query: ["validationToken"],
            body: "HookCall", isBodyOptional: true,
            answers: [(200, .text("text/plain")), (202, .none), (204, .none)], problems: [401, 409, 500, 503, 507])
    }

    /// Bodies are the monitor's own: see its README.
    static let hooks: KeyValuePairs<String, JSON> = [
        "HookCall": [
            "type": "object",
            "description": """
            What the app's monitor takes: for kind "hook" with format "signed" {user,events:[{type:"new"|"seen"|\
            "gone",id,…}]} with the Standard Webhooks headers; with format "dovecot" what Dovecot's \
            push_notification driver "ox" sends; for kind "graph" Microsoft Graph's change notifications
            """,
        ]
    ]
}
