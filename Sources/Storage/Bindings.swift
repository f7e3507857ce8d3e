internal import Base
internal import Gateway

extension Statement {
    /// Binds values and runs.
    /// - Returns: the rows inserted, changed or deleted.
    @discardableResult
    func run(_ bindValues: (Statement) -> Void) throws(StoreError) -> Int {
        bindValues(self)
        return try run()
    }

    /// The columns that open and settled messages share.
    func bindCommon(of message: Message, address: String, sender: String) {
        bind(message.key.queue)
        bind(message.key.seq)
        bind(message.receipts.rawValue)
        bind(message.enqueued.milliseconds)
        bind(message.priority.code)
        bind(message.expires?.milliseconds)
        bind(message.notBefore?.milliseconds)
        bind(message.group)
        bind(message.collapse)
        bind(message.senderID)
        bind(message.correlation)
        bind(sender)
        bind(message.origin?.registration.text)
        bind(message.origin?.item)
        bind(message.app?.text)
        bind(address)
        bind(Codec.text(header: message.header))
        bind(message.state.code)
        bind(Int64(message.deliveries))
        bind(message.delivered?.milliseconds)
        bind(message.receiptToken)
        bind(message.consumer)
        bind(message.settledReason)
    }

    /// What settling and updating set.
    func bind(_ update: MessageUpdate) {
        bind(update.state.code)
        bind(update.at.milliseconds)
        bind(update.reason)
        bind(Int64(update.deliveries))
        bind(update.consumer)
        bind(update.receiptToken)
    }

    func bind(_ key: MessageKey) {
        bind(key.queue)
        bind(key.seq)
    }

    func run(binding account: Account) throws(StoreError) {
        bind(account.id.text)
        bind(account.kind.rawValue)
        bind(account.passwordHash)
        bind(account.isDisabled ? 1 : 0)
        bind(account.locale)
        bind(account.created.milliseconds)
        bind(account.refusals.isEmpty ? nil : Codec.text(account.refusals))
        try run()
    }

    func run(binding device: Device) throws(StoreError) {
        bind(device.id.text)
        bind(device.account.text)
        bind(device.installation)
        bind(device.name)
        bind(device.platform)
        bind(device.channel?.adapter)
        bind(device.channel.map { Codec.text($0.address) })
        bind(device.channel?.since.milliseconds)
        bind(Codec.text(device.tags))
        bind(device.locale)
        bind(device.payload.rawValue)
        bind(device.tokenHash)
        bind(device.created.milliseconds)
        bind(device.lastSeen.milliseconds)
        bind(device.cursor)
        bind(device.encryption?.publicKey)
        bind(device.encryption?.secret)
        bind(device.furtherChannels.isEmpty ? nil : Codec.text(device.furtherChannels))
        try run()
    }

    func run(binding registration: Registration) throws(StoreError) {
        bind(registration.id.text)
        bind(registration.account.text)
        bind(registration.app.text)
        bind(registration.sealedCredentials)
        bind(registration.credentialsRevision)
        bind(registration.refusedRevision)
        bind(registration.isEnabled ? 1 : 0)
        bind(registration.isArmed ? 1 : 0)
        bind(Codec.text(registration.preferences))
        bind(registration.cursor)
        bind(registration.created.milliseconds)
        bind(registration.provenRevision)
        try run()
    }

    func run(binding queue: QueueRecord) throws(StoreError) {
        bind(queue.number)
        bind(queue.address.description)
        bind(queue.reserved)
        try run()
    }

    func run(binding launch: Launch) throws(StoreError) {
        bind(launch.id.text)
        bind(launch.account.text)
        bind(launch.device.text)
        bind(launch.app.text)
        bind(launch.message?.queue)
        bind(launch.message?.seq)
        bind(launch.fromTap ? 1 : 0)
        bind(launch.ticketHash)
        bind(launch.created.milliseconds)
        bind(launch.expires.milliseconds)
        bind(launch.state.rawValue)
        try run()
    }

    func run(binding record: DeliveryRecord) throws(StoreError) {
        bind(record.message.queue)
        bind(record.message.seq)
        bind(record.device.text)
        bind(record.outcome.rawValue)
        bind(record.at.milliseconds)
        bind(record.detail)
        bind(record.notification.text)
        bind(record.adapter)
        try run()
    }

    func run(binding event: StoredEvent) throws(StoreError) {
        bind(event.queue)
        bind(event.number)
        bind(event.kind.rawValue)
        bind(event.device?.text)
        bind(event.data)
        bind(event.at.milliseconds)
        try run()
    }
}
