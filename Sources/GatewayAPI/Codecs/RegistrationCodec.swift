internal import Base
internal import Gateway
internal import Inbound

/// Apps and registrations in JSON.
enum RegistrationCodec {
    static func json(of app: App) -> JSON {
        var object: JSONObject = ["id": .string(app.id.text), "name": .string(app.name)]
        if let farm = app.farm { object.append("farm", .string(farm.text)) }
        if let monitor = app.monitor {
            let fields = monitor.credentialFields
            var item: JSONObject = [
                "kind": .string(app.monitorKind ?? ""), "credentials": .strings(fields.map(\.name)),
            ]
            // For whoever draws a form.
            let (optional, open) = (fields.filter { !$0.isRequired }, fields.filter { !$0.isSecret })
            if !optional.isEmpty { item.append("optional", .strings(optional.map(\.name))) }
            if !open.isEmpty { item.append("public", .strings(open.map(\.name))) }
            object.append("monitor", .object(item))
        }
        if !app.farmFields.isEmpty { object.append("signIn", .strings(app.farmFields.map(\.name))) }
        return .object(object)
    }

    /// Never the credentials.
    static func json(of registration: Registration, health: SupervisorMachine.Health?) -> JSON {
        [
            "id": .string(registration.id.text), "account": .string(registration.account.text),
            "app": .string(registration.app.text), "enabled": .bool(registration.isEnabled),
            "notify": registration.preferences.json, "monitor": json(of: health, registration),
            "created": .timestamp(registration.created),
        ]
    }

    /// What is said where the server's own words are not known any more, or were never heard.
    private static let refusal =
        "auth_failed: the app's server has refused these credentials; they are not tried again until they change"

    /// A registration that was not watched since the start has no health of its own yet.
    static func json(of health: SupervisorMachine.Health?, _ registration: Registration) -> JSON {
        let isRefused = registration.isRefused && registration.isEnabled
        let state = health?.state ?? (isRefused ? .refused : .stopped)
        var object: JSONObject = [
            "state": .string(state.rawValue), "since": .timestamp(health?.since ?? registration.created),
        ]
        if let item = health?.lastItem { object.append("lastItem", .timestamp(item)) }
        if let success = health?.lastSuccess { object.append("lastSuccess", .timestamp(success)) }
        if let lag = health?.lag { object.append("lagMilliseconds", .integer(lag.milliseconds)) }
        object.append("failures", .integer(health?.failures ?? 0))
        if let next = health?.nextAttempt { object.append("nextAttempt", .timestamp(next)) }
        object.append("overdue", .bool(health?.isOverdue ?? false))
        if let error = health?.lastError ?? (state == .refused ? refusal : nil) {
            object.append("lastError", .string(error))
        }
        return .object(object)
    }

    /// The body of `POST /v1/registrations`.
    struct Order {
        let app: AppID
        let credentials: [String: Secret]
        let isEnabled: Bool
        let preferences: NotifyPreferences
        let retries: Bool

        init(_ request: InboundRequest) throws {
            var reader = try FieldReader(request)
            app = AppID(try reader.string("app"))
            credentials = try reader.optionalSecrets("credentials") ?? [:]
            isEnabled = try reader.optionalBool("enabled") ?? true
            retries = try reader.optionalBool("retry") ?? false
            preferences = try RegistrationCodec.preferences(&reader) ?? NotifyPreferences()
            try reader.finish()
        }
    }

    /// The body of `PATCH /v1/registrations/{id}`; `notify` replaces all of it, null goes back to the defaults.
    static func update(_ request: InboundRequest) throws -> Registrations.Update {
        var reader = try FieldReader(request)
        var update = Registrations.Update()
        update.credentials = try reader.optionalSecrets("credentials")
        update.isEnabled = try reader.optionalBool("enabled")
        update.retries = try reader.optionalBool("retry") ?? false
        update.preferences = try preferences(&reader) ?? (reader.isNull("notify") ? NotifyPreferences() : nil)
        try reader.finish()
        return update
    }

    private static func preferences(_ reader: inout FieldReader) throws -> NotifyPreferences? {
        // The fields' names first, so that a slip is told as one; the core reads the values.
        _ = try reader.optionalObject("notify") { (fields: inout FieldReader) throws(Problem) in
            for name in ["summary", "targets", "quietHours", "groupSeconds", "ownAddresses", "rules"] {
                _ = fields.value(name)
            }
        }
        return try reader.value("notify").map { try NotifyPreferences(json: $0) }
    }
}
