internal import Base

/// The routes of the administrator.
extension OpenAPI {
    private static let page = ["limit", "after"]

    static let adminOperations = adminAccountOperations + adminDeviceOperations + adminOtherOperations

    private static func list(_ name: String, _ schema: String, _ summary: String, query: [String] = []) -> Operation {
        Operation(
            method: "GET", path: "/v1/admin/\(name)", access: .admin, summary: summary, query: page + query,
            answers: [(200, .json("\(schema)Page"))])
    }

    private static func show(_ name: String, _ schema: String, _ summary: String) -> Operation {
        Operation(
            method: "GET", path: "/v1/admin/\(name)/{id}", access: .admin, summary: summary,
            answers: [(200, .json(schema))])
    }

    private static func delete(_ name: String, _ summary: String) -> Operation {
        Operation(
            method: "DELETE", path: "/v1/admin/\(name)/{id}", access: .admin, summary: summary,
            answers: [(204, .none)])
    }

    private static let adminAccountOperations = [
        list("accounts", "Account", "All accounts"),
        Operation(
            method: "POST", path: "/v1/admin/accounts", access: .admin, summary: "Creates an account",
            body: "AccountOrder", answers: [(201, .json("Account"))], problems: [409, 429]),
        show("accounts", "Account", "One account"),
        Operation(
            method: "PATCH", path: "/v1/admin/accounts/{id}", access: .admin,
            summary: "Disables or enables an account, or sets its password", body: "AccountChange",
            answers: [(200, .json("Account"))]),
        delete("accounts", "Ends an account with its devices, registrations and messages"),
    ]

    private static let adminDeviceOperations = [
        list("devices", "Device", "All devices", query: ["account"]),
        show("devices", "Device", "One device"),
        delete("devices", "Ends a device and its token"),
        Operation(
            method: "POST", path: "/v1/admin/devices/{id}/test", access: .admin,
            summary: "Sends a test notification now", body: "Empty", isBodyOptional: true,
            answers: [(200, .json("TestReport"))], problems: [409]),
        list("registrations", "Registration", "All registrations", query: ["account"]),
        show("registrations", "Registration", "One registration"),
        Operation(
            method: "PATCH", path: "/v1/admin/registrations/{id}", access: .admin,
            summary: "Switches a registration on or off", body: "RegistrationSwitch",
            answers: [(200, .json("Registration"))]),
        delete("registrations", "Ends a registration"),
    ]

    private static let adminOtherOperations = [
        list("sessions", "Session", "All sessions", query: ["account"]),
        show("sessions", "Session", "One session"),
        delete("sessions", "Ends a session"),
        list("monitors", "Monitor", "The monitors of all registrations", query: ["account"]),
        show("monitors", "Monitor", "The monitor of one registration"),
        list("queues", "Queue", "All queues"),
        show("queues", "Queue", "One queue"),
        list("launches", "Launch", "Launches of the last while"),
        show("launches", "Launch", "One launch"),
        Operation(
            method: "GET", path: "/v1/admin/status", access: .admin, summary: "The gateway in numbers",
            answers: [(200, .json("Status"))]),
        Operation(
            method: "POST", path: "/v1/admin/reload", access: .admin,
            summary: "Has the parts start anew with the configuration as it stands now; a bad one is refused",
            body: "Empty",
            isBodyOptional: true, answers: [(202, .json("Reloading"))], problems: [409]),
    ]
}
