internal import Base
internal import Gateway

extension OpenAPI {
    /// Every schema that has a name, by theme.
    static func schemas() -> JSONObject {
        var all = JSONObject()
        for group in [
            common, devices, registrations, sessions, queues, consumers, conversations, launches, administration, hooks,
            people,
        ] {
            for (name, schema) in group { all.append(name, schema) }
        }
        return all
    }

    private static let common: KeyValuePairs<String, JSON> = [
        "Problem": Schema.object([
            "type": Schema.string, "title": Schema.string, "status": Schema.integer, "detail": Schema.string,
            "code": Schema.string("A stable word that programs may test for"),
            "field?": Schema.string("The field of the request that is wrong"),
        ]),
        "Health": Schema.object(["status": Schema.words(["ok", "ready"])]),
        "PushServices": Schema.object([
            "items": Schema.array(
                Schema.object([
                    "name": Schema.string, "kind": Schema.string,
                    "applicationServerKey?": Schema.string("The VAPID public key, base64url (RFC 8292 section 3.2)"),
                ]))
        ]),
        "Password": Schema.object(["password": Schema.string]),
        "AccountLocale": Schema.object(["locale": Schema.nullableString]),
        "PortalLogin": Schema.object([
            "account": Schema.string, "password": Schema.string,
            "installation": Schema.string("The browser's own stable id of this installation"),
            "name": Schema.string, "locale?": Schema.string,
        ]),
        "PortalSession": Schema.object([
            "account": Schema.string, "device": Schema.string,
            "csrf": Schema.string("Goes with every request but GET and HEAD as Farbell-CSRF"),
            "files?": Schema.object([
                "url": Schema.string("Files that go with messages are put below it: PUT {url}/{anything}/{name}"),
                "maxBytes": Schema.integer,
            ]),
        ]),
        "Empty": Schema.object([:]),
    ]

    private static let devices: KeyValuePairs<String, JSON> = [
        "ChannelOrder": Schema.oneOf(
            Schema.object(["adapter": Schema.string, "token": Schema.string]),
            Schema.object([
                "adapter": Schema.string,
                "subscription": Schema.object([
                    "endpoint": Schema.string, "expirationTime?": ["type": ["number", "null"]],
                    "keys": Schema.object(["p256dh": Schema.string, "auth": Schema.string]),
                ]),
            ]),
            Schema.object(["adapter": Schema.string, "url": Schema.string])),
        "FurtherChannels": Schema.array(
            Schema.named("ChannelOrder"), atMost: Device.furtherChannelsLimit,
            "Where to go on, in this order, when the channel before failed for good or nobody has acknowledged in time"),
        "Encryption": Schema.object([
            "p256dh": Schema.string("The client's public key, P-256, uncompressed, base64url (RFC 8291)"),
            "auth": Schema.string("The client's authentication secret, 16 bytes, base64url (RFC 8291)"),
        ]),
        "DeviceOrder": Schema.object([
            "installation": Schema.string("The client's own stable id of this installation"),
            "name": Schema.string, "platform": Schema.string, "channel?": Schema.named("ChannelOrder"),
            "channels?": Schema.named("FurtherChannels"), "encryption?": Schema.named("Encryption"),
            "tags?": Schema.array(Schema.string), "locale?": Schema.string,
            "payload?": Schema.words(Device.Payload.self),
        ]),
        "DeviceChange": Schema.object([
            "name?": Schema.string, "channel?": Schema.oneOf(Schema.named("ChannelOrder"), ["type": "null"]),
            "channels?": Schema.oneOf(Schema.named("FurtherChannels"), ["type": "null"]),
            "encryption?": Schema.oneOf(Schema.named("Encryption"), ["type": "null"]),
            "locale?": Schema.nullableString,
            "tags?": Schema.array(Schema.string), "payload?": Schema.words(Device.Payload.self),
        ]),
        "DeviceBinding": Schema.object([
            "id": Schema.string, "token": Schema.string("The device's authentication token; shown only now"),
            "account": Schema.string,
        ]),
        "Channel": Schema.object([
            "adapter": Schema.string, "token?": Schema.string,
            "subscription?": Schema.object(["endpoint": Schema.string]), "url?": Schema.string,
            "since": Schema.time,
        ]),
        "Device": Schema.object([
            "id": Schema.string, "account": Schema.string, "installation": Schema.string, "name": Schema.string,
            "platform": Schema.string, "tags": Schema.array(Schema.string),
            "payload": Schema.words(Device.Payload.self), "channel?": Schema.named("Channel"),
            "channels?": Schema.array(Schema.named("Channel")),
            "encryption?": Schema.object(["p256dh": Schema.string]),
            "locale?": Schema.string, "connected": Schema.boolean,
            "cursor": Schema.integer, "created": Schema.time, "lastSeen": Schema.time,
        ]),
        "DevicePage": Schema.page("Device"),
        "TestOrder": Schema.object([
            "adapter?": Schema.string("The push service of the channel to try; the first channel's where it is absent")
        ]),
        "TestReport": Schema.object([
            "outcome": Schema.words(["delivered", "gone", "retry", "rejected", "credential"]),
            "hop?": Schema.words(PushHop.self), "status?": Schema.integer, "reason?": Schema.string,
            "milliseconds": Schema.integer,
        ]),
    ]

    private static let registrations: KeyValuePairs<String, JSON> = [
        "App": Schema.object([
            "id": Schema.string, "name": Schema.string, "farm?": Schema.string,
            "monitor?": Schema.object([
                "kind": Schema.string, "credentials": Schema.array(Schema.string),
                "optional?": Schema.array(Schema.string("A credential that may be left out")),
                "public?": Schema.array(Schema.string("A credential that is no secret: a form may show it")),
            ]),
            "signIn?": Schema.array(Schema.string("A credential for the farm alone, which may be left out")),
        ]),
        "AppPage": Schema.page("App"),
        "Targets": Schema.oneOf(
            Schema.words(["latest", "all"]), Schema.array(Schema.string),
            Schema.object(["escalate?": Schema.array(Schema.string), "afterSeconds": Schema.integer(5...86_400)])),
        "Notify": Schema.object([
            "summary?": Schema.words(NotifyPreferences.Summary.self), "targets?": Schema.named("Targets"),
            "quietHours?": Schema.object(["from": Schema.string, "to": Schema.string, "timeZone": Schema.string]),
            "groupSeconds?": Schema.integer(0...86_400),
            "ownAddresses?": Schema.array(Schema.string),
            "rules?": Schema.array(
                Schema.object([
                    "from?": Schema.string, "title?": Schema.string, "then": Schema.words(NotifyRule.Outcome.self),
                ])),
        ]),
        "RegistrationOrder": Schema.object([
            "app": Schema.string, "credentials?": Schema.credentials, "enabled?": Schema.boolean,
            "notify?": Schema.named("Notify"), "retry?": Schema.boolean,
        ]),
        "RegistrationChange": Schema.object([
            "credentials?": Schema.credentials, "enabled?": Schema.boolean, "retry?": Schema.boolean,
            "notify?": Schema.oneOf(Schema.named("Notify"), ["type": "null"]),
        ]),
        "MonitorHealth": Schema.object([
            "state": Schema.words(SupervisorMachine.State.self), "since": Schema.time, "lastItem?": Schema.time,
            "lastSuccess?": Schema.time, "lagMilliseconds?": Schema.integer, "failures": Schema.integer,
            "nextAttempt?": Schema.time, "overdue": Schema.boolean, "lastError?": Schema.string,
        ]),
        "Registration": Schema.object([
            "id": Schema.string, "account": Schema.string, "app": Schema.string, "enabled": Schema.boolean,
            "notify": Schema.named("Notify"), "monitor": Schema.named("MonitorHealth"), "created": Schema.time,
        ]),
        "RegistrationPage": Schema.page("Registration"),
    ]

    private static let sessions: KeyValuePairs<String, JSON> = [
        "SessionOrder": Schema.object([
            "app": Schema.string, "instance": Schema.string("The client's own random id of this run"),
        ]),
        "Session": Schema.object([
            "id": Schema.string, "account": Schema.string, "app": Schema.string, "device": Schema.string,
            "instance": Schema.string, "state": Schema.words(Session.Presence.self), "leaseSeconds": Schema.integer,
            "farm": Schema.words(FarmFact.State.self), "foreground": Schema.boolean,
            "registration": Schema.string, "opened": Schema.time, "reported": Schema.time,
        ]),
        "SessionPage": Schema.page("Session"),
        "PresenceReport": Schema.object([
            "seq": Schema.integer, "state": Schema.words(Session.Presence.self),
        ]),
        "Acknowledgement": Schema.object(["upTo": Schema.integer]),
        "Presence": Schema.object([
            "state": Schema.words(Session.Presence.self), "leaseSeconds": Schema.integer,
        ]),
    ]

    private static let launches: KeyValuePairs<String, JSON> = [
        "LaunchOrder": Schema.oneOf(
            Schema.object(["tap": Schema.string]), Schema.object(["app": Schema.string, "message?": Schema.string])),
        "LaunchAnswer": Schema.object([
            "id": Schema.string, "app": Schema.string, "session": Schema.nullableString, "expires": Schema.time,
            "action": Schema.oneOf(
                Schema.object([
                    "kind": Schema.constant("url"), "url": Schema.string,
                    "embed?": [
                        "type": "boolean",
                        "description": "true: a page of this server's that a page of this server's may frame",
                    ],
                ]),
                Schema.object([
                    "kind": Schema.constant("file"), "contentType": Schema.string, "name": Schema.string,
                    "body": ["type": "string", "contentEncoding": "base64"],
                ])),
        ]),
        "Launch": Schema.object([
            "id": Schema.string, "account": Schema.string, "device": Schema.string, "app": Schema.string,
            "message?": Schema.string, "fromTap": Schema.boolean, "state": Schema.words(Launch.State.self),
            "created": Schema.time, "expires": Schema.time,
        ]),
        "LaunchPage": Schema.page("Launch"),
        "Redemption": Schema.oneOf(
            Schema.object(["ticket": Schema.string]),
            Schema.object(["key": Schema.string("What a program in the session got with its first ticket")])),
        "Redeemed": Schema.object([
            "id": Schema.string, "app": Schema.string, "name": Schema.string, "account": Schema.string,
            "message?": Schema.string, "item?": Schema.string, "start": Schema.named("LaunchStart"),
            "presence?": Schema.object([
                "token": Schema.string("Opens this run's session and reports its presence, and nothing else"),
                "instance": Schema.string,
            ]),
            "key?": Schema.string("For a program in the session: fetches the account's later launches at this farm"),
        ]),
        "LaunchStart": Schema.oneOf(
            Schema.object(["kind": Schema.constant("nothing")]), Schema.object(["kind": Schema.constant("program")]),
            Schema.object(["kind": Schema.constant("frame"), "url": Schema.string]),
            Schema.object([
                "kind": Schema.constant("rfb"), "module": Schema.string, "socket": Schema.string,
                "password?": Schema.string,
            ])),
    ]

    private static let administration: KeyValuePairs<String, JSON> = [
        "AccountOrder": Schema.object([
            "name": Schema.string, "password?": Schema.string, "kind?": Schema.words(Account.Kind.self),
        ]),
        "AccountChange": Schema.object(["disabled?": Schema.boolean, "password?": Schema.string]),
        "Account": Schema.object([
            "id": Schema.string, "name": Schema.string, "kind": Schema.words(Account.Kind.self),
            "disabled": Schema.boolean, "locale?": Schema.string, "created": Schema.time,
        ]),
        "AccountPage": Schema.page("Account"),
        "RegistrationSwitch": Schema.object(["enabled?": Schema.boolean]),
        "Monitor": Schema.object([
            "id": Schema.string("The registration's id"), "account": Schema.string, "app": Schema.string,
            "kind?": Schema.string, "state": Schema.words(SupervisorMachine.State.self), "since": Schema.time,
            "lastItem?": Schema.time, "lastSuccess?": Schema.time, "lagMilliseconds?": Schema.integer,
            "failures": Schema.integer, "nextAttempt?": Schema.time, "overdue": Schema.boolean,
            "lastError?": Schema.string,
        ]),
        "MonitorPage": Schema.page("Monitor"),
        "Queue": Schema.object([
            "id": Schema.string, "queue": Schema.string, "open": Schema.integer, "locked": Schema.integer,
            "dead": Schema.integer, "waiting": Schema.integer,
        ]),
        "QueuePage": Schema.page("Queue"),
        "Reloading": Schema.object(["reloading": Schema.boolean]),
        "Status": Schema.object([
            "version": Schema.string, "ready": Schema.boolean, "accounts": Schema.integer,
            "devices": Schema.integer, "registrations": Schema.integer, "sessions": Schema.integer,
            "streams": Schema.integer, "pendingNotifications": Schema.integer, "openMessages": Schema.integer,
            "lockedMessages": Schema.integer, "deadMessages": Schema.integer, "monitorsOverdue": Schema.integer,
            "oldestSuccessSeconds": Schema.integer,
            "monitors": Schema.object([
                "stopped": Schema.integer, "starting": Schema.integer, "watching": Schema.integer,
                "backing_off": Schema.integer, "refused": Schema.integer,
            ]),
            "lanes": Schema.array(
                Schema.object([
                    "push": Schema.string, "waiting": Schema.integer, "underWay": Schema.integer,
                    "open": Schema.boolean,
                ])),
        ]),
    ]
}
