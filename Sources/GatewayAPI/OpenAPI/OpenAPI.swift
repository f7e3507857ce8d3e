package import Base

/// The document of this API (OpenAPI 3.1), which the server's answers are tested against.
package enum OpenAPI {
    /// - Parameters:
    ///   - publicURL: where clients reach the server.
    ///   - version: of the program.
    package static func document(publicURL: String, version: String) -> JSON {
        [
            "openapi": "3.1.0",
            "info": [
                "title": "Farbell", "version": .string(version),
                "description": """
                Watches remote applications for their users and brings the news to their devices. Times are RFC 3339 \
                in UTC with milliseconds; ids are opaque. Unknown fields in a request are refused. Lists are asked \
                for with limit and after and answered with items and next, which is the after of the next page or \
                null. Errors are RFC 9457 documents with a stable code. Every answer carries Farbell-Request-Id. Only \
                what cannot be read as an HTTP request is answered without both: 400, 413, 431 or 505 with a line of \
                HTML, and the connection ends.
                """,
            ],
            "servers": [["url": .string(publicURL)]],
            "paths": .object(paths()),
            "components": [
                "schemas": .object(schemas()),
                "responses": [
                    "Problem": [
                        "description": "What is wrong, with a stable code",
                        "content": ["application/problem+json": ["schema": Schema.named("Problem")]],
                    ]
                ],
                "securitySchemes": [
                    "account": ["type": "http", "scheme": "basic", "description": "An account's name and password"],
                    "device": ["type": "http", "scheme": "bearer", "description": "A device's token"],
                    "app": ["type": "http", "scheme": "bearer", "description": "An app's key"],
                    "portal": [
                        "type": "apiKey", "in": "cookie", "name": .string(PortalCookie.name),
                        "description": "The portal's session; all but GET and HEAD need Farbell-CSRF too",
                    ],
                    "admin": ["type": "http", "scheme": "bearer", "description": "The administrator's token"],
                ],
            ],
        ]
    }

    private static func paths() -> JSONObject {
        var paths = JSONObject()
        for operation in operations {
            var path = paths[operation.path]?.object ?? JSONObject()
            path.append(operation.method.lowercased(), operation.json)
            paths[operation.path] = .object(path)
        }
        return paths
    }

    private static var operations: [Operation] {
        systemOperations + portalOperations + deviceOperations + registrationOperations + sessionOperations
            + messageOperations
            + farmOperations
            + queueOperations
            + peopleOperations
            + conversationOperations
            + adminOperations
            + hookOperations
    }
}
