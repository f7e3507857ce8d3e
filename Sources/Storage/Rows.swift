internal import Base
internal import Gateway

// Reading rows. Each initialiser reads the columns of one list of names, from left to right; both stand
// next to each other here.

extension Statement.Row {
    mutating func identifier<Entity>() -> Identifier<Entity> { Identifier(text()) }
    mutating func timestamp() -> Timestamp { Timestamp(milliseconds: integer()) }
    mutating func optionalTimestamp() -> Timestamp? { optionalInteger().map { Timestamp(milliseconds: $0) } }
    mutating func flag() -> Bool { integer() != 0 }

    /// A value of an enumeration that is stored by name.
    mutating func name<Value: RawRepresentable<String>>(_ what: String) throws(StoreError) -> Value {
        guard let value = Value(rawValue: text()) else { throw damage(what) }
        return value
    }

    mutating func state() throws(StoreError) -> Message.State {
        guard let state = Message.State(code: integer()) else { throw damage("state") }
        return state
    }

    mutating func priority() throws(StoreError) -> Message.Priority {
        guard let priority = Message.Priority(code: integer()) else { throw damage("priority") }
        return priority
    }

    mutating func receipts() throws(StoreError) -> Message.Receipts {
        guard let receipts = Message.Receipts(rawValue: integer()) else { throw damage("receipts") }
        return receipts
    }

    mutating func address(_ what: String, _ cache: inout AddressCache) throws(StoreError) -> QueueAddress {
        let text = text()
        guard let address = cache.address(text) else { throw damage(what) }
        return address
    }
}

extension Account {
    static let columns: SQL = "id, kind, password_hash, disabled, locale, created, refusals"

    init(row: inout Statement.Row) throws(StoreError) {
        let id: AccountID = row.identifier()
        let kind: Kind = try row.name("account kind")
        let (passwordHash, isDisabled, locale) = (row.optionalText(), row.flag(), row.optionalText())
        self.init(id: id, kind: kind, passwordHash: passwordHash, created: row.timestamp())
        (self.isDisabled, self.locale) = (isDisabled, locale)
        if let text = row.optionalText() {
            guard let refusals = Codec.refusals(text) else { throw row.damage("refusals") }
            self.refusals = refusals
        }
    }
}

extension Device {
    static let columns: SQL = """
        id, account, installation, name, platform, adapter, address, since, tags, locale, payload, token_hash, \
        created, last_seen, cursor, public_key, secret, channels
        """

    init(row: inout Statement.Row) throws(StoreError) {
        let (id, account): (DeviceID, AccountID) = (row.identifier(), row.identifier())
        let (installation, name, platform) = (row.text(), row.text(), row.text())
        let (adapter, address, since) = (row.optionalText(), row.optionalText(), row.timestamp())
        var channel: Channel?
        if let adapter {
            guard let decoded = address.flatMap(Codec.address) else { throw row.damage("channel") }
            channel = Channel(adapter: adapter, address: decoded, since: since)
        }
        guard let tags = Codec.strings(row.text()) else { throw row.damage("tags") }
        let locale = row.optionalText()
        let payload: Payload = try row.name("payload")
        let (tokenHash, created) = (row.optionalBytes(), row.timestamp())
        self.init(
            id: id, account: account, installation: installation, name: name, platform: platform, channel: channel,
            tags: tags, locale: locale, payload: payload, tokenHash: tokenHash, created: created)
        (lastSeen, cursor) = (row.timestamp(), row.integer())
        let (publicKey, secret) = (row.optionalBytes(), row.optionalBytes())
        if let publicKey, let secret { encryption = Encryption(publicKey: publicKey, secret: secret) }
        if let text = row.optionalText() {
            guard let channels = Codec.channels(text) else { throw row.damage("channels") }
            furtherChannels = channels
        }
    }
}

extension Registration {
    static let columns: SQL = """
        id, account, app, credentials, credentials_revision, refused_revision, enabled, armed, preferences, \
        cursor, created, proven_revision
        """

    init(row: inout Statement.Row) throws(StoreError) {
        let (id, account, app): (RegistrationID, AccountID, AppID) =
            (row.identifier(), row.identifier(), row.identifier())
        let (credentials, revision, refused) = (row.bytes(), row.integer(), row.optionalInteger())
        let (isEnabled, isArmed) = (row.flag(), row.flag())
        guard let preferences = Codec.preferences(row.text()) else { throw row.damage("preferences") }
        let cursor = row.optionalBytes()
        self.init(
            id: id, account: account, app: app, sealedCredentials: credentials, isEnabled: isEnabled,
            preferences: preferences, created: row.timestamp())
        (credentialsRevision, refusedRevision, self.isArmed, self.cursor) = (revision, refused, isArmed, cursor)
        provenRevision = row.optionalInteger()
    }
}

extension QueueRecord {
    static let columns: SQL = "number, address, reserved"

    init(row: inout Statement.Row) throws(StoreError) {
        let number = row.integer()
        guard let address = QueueAddress(row.text()) else { throw row.damage("address") }
        self.init(number: number, address: address, reserved: row.integer())
    }
}

extension Launch {
    static let columns: SQL = """
        id, account, device, app, queue, seq, from_tap, ticket_hash, created, expires, state
        """

    init(row: inout Statement.Row) throws(StoreError) {
        let (id, account): (LaunchID, AccountID) = (row.identifier(), row.identifier())
        let (device, app): (DeviceID, AppID) = (row.identifier(), row.identifier())
        let (queue, seq) = (row.optionalInteger(), row.integer())
        self.init(
            id: id, account: account, device: device, app: app,
            message: queue.map { MessageKey(queue: $0, seq: seq) }, fromTap: row.flag(), ticketHash: row.bytes(),
            created: row.timestamp(), expires: row.timestamp(), state: try row.name("launch state"))
    }
}

extension StoredEvent {
    static let columns: SQL = "queue, number, kind, device, data, at"

    init(row: inout Statement.Row) throws(StoreError) {
        let (queue, number) = (row.integer(), row.integer())
        let kind: Kind = try row.name("event kind")
        let device = row.optionalText().map { DeviceID($0) }
        self.init(
            queue: queue, number: number, kind: kind, device: device, data: row.bytes(), at: row.timestamp())
    }
}

extension DeliveryRecord {
    static let columns: SQL = "queue, seq, device, outcome, at, detail, notification, adapter"

    init(row: inout Statement.Row) throws(StoreError) {
        let message = MessageKey(queue: row.integer(), seq: row.integer())
        let device: DeviceID = row.identifier()
        let outcome: Outcome = try row.name("outcome")
        self.init(
            message: message, device: device, outcome: outcome, at: row.timestamp(), detail: row.optionalText(),
            notification: row.identifier(), adapter: row.optionalText())
    }
}
