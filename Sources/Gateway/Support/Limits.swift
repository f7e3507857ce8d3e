package import Base

/// Every bound of the core, by name. `limits` in the configuration sets them.
package struct Limits: Sendable, Hashable {
    /// Largest body of a request, in bytes.
    package var bodyBytes = 1 << 20
    /// Memory of a connection, in bytes; a request's header block may have a little less than half of it. The HTTP library
    /// clears all of it for each request.
    package var headerBytes = 16_384
    /// Connections at once, streams among them.
    package var connections = 18_000
    /// Requests a device or app may make in a second, on average; bursts may be ten times that.
    package var requestsPerSecond = 100
    /// Refused log-ins of one account or address within five minutes before more are turned away.
    package var refusedLogins = 10
    package var accounts = 1_000_000
    package var devicesPerAccount = 50
    package var registrationsPerAccount = 50
    package var sessionsPerDevice = 50
    /// Messages waiting in one queue.
    package var queueMessages = 100_000
    /// Memory for the messages stored last, in bytes: consumers that come soon cost no read.
    package var messageCacheBytes = 64 << 20
    /// Senders' own message ids remembered at once, for finding repeats within ten minutes.
    package var rememberedSends = 1_000_000
    /// Hand-overs to consumers without a completion before a message is dead.
    package var maxDeliveries = 10
    /// How long after the hand-over a lock can be renewed, in seconds.
    package var lockTotalSeconds = 43_200
    /// How long dead letters are kept, in seconds.
    package var deadLetterSeconds = 1_209_600
    /// Pushes waiting in one lane.
    package var laneMessages = 200_000
    /// Free space below which nothing new is accepted, in bytes.
    package var diskReserveBytes = 64 << 20
    /// Monitors started in a second, at one server.
    package var monitorStartsPerSecond = 200
    /// Monitors connecting at once, at one server.
    package var monitorConnects = 32
    /// Refused log-ins at one server within a minute before further ones that may be refused wait; 0: no limit.
    package var monitorRefusalsPerMinute = 1
    /// Watchers told of others' presence in a second; further ones are told a little later.
    package var presencePerSecond = 5000
    /// Accounts that one account may ask to be contacts in an hour, where consent is asked for; 0: no limit.
    package var contactAsksPerHour = 60
    /// Messages one account may send to others in a minute, on average; 0: no limit.
    package var messagesPerSenderPerMinute = 120
    /// Messages one account may be sent by others in a minute, on average; 0: no limit.
    package var messagesPerRecipientPerMinute = 600
    /// How long after it was sent a message can be edited or withdrawn, in seconds.
    package var editSeconds = 86_400
    /// Size that an attachment may be said to have, in bytes.
    package var attachmentBytes = 100 << 20

    package init() {}

    package init(_ reader: ConfigReader) {
        self.init()
        bodyBytes = reader.integer("bodyBytes", in: 1024...(64 << 20), default: bodyBytes)
        headerBytes = reader.integer("headerBytes", in: 2048...(1 << 20), default: headerBytes)
        connections = reader.integer("connections", in: 1...1_000_000, default: connections)
        requestsPerSecond = reader.integer("requestsPerSecond", in: 1...1_000_000, default: requestsPerSecond)
        refusedLogins = reader.integer("refusedLogins", in: 1...10_000, default: refusedLogins)
        accounts = reader.integer("accounts", in: 1...100_000_000, default: accounts)
        devicesPerAccount = reader.integer("devicesPerAccount", in: 1...10_000, default: devicesPerAccount)
        registrationsPerAccount = reader.integer(
            "registrationsPerAccount", in: 1...10_000, default: registrationsPerAccount)
        sessionsPerDevice = reader.integer("sessionsPerDevice", in: 1...10_000, default: sessionsPerDevice)
        queueMessages = reader.integer("queueMessages", in: 1...100_000_000, default: queueMessages)
        messageCacheBytes = reader.integer("messageCacheBytes", in: 0...(1 << 40), default: messageCacheBytes)
        rememberedSends = reader.integer("rememberedSends", in: 1000...100_000_000, default: rememberedSends)
        maxDeliveries = reader.integer("maxDeliveries", in: 1...1000, default: maxDeliveries)
        lockTotalSeconds = reader.integer("lockTotalSeconds", in: 300...604_800, default: lockTotalSeconds)
        deadLetterSeconds = reader.integer("deadLetterSeconds", in: 60...31_536_000, default: deadLetterSeconds)
        laneMessages = reader.integer("laneMessages", in: 1...100_000_000, default: laneMessages)
        diskReserveBytes = reader.integer("diskReserveBytes", in: 0...(1 << 50), default: diskReserveBytes)
        monitorStartsPerSecond = reader.integer(
            "monitorStartsPerSecond", in: 1...100_000, default: monitorStartsPerSecond)
        monitorConnects = reader.integer("monitorConnects", in: 1...100_000, default: monitorConnects)
        monitorRefusalsPerMinute = reader.integer(
            "monitorRefusalsPerMinute", in: 0...1000, default: monitorRefusalsPerMinute)
        presencePerSecond = reader.integer("presencePerSecond", in: 1...1_000_000, default: presencePerSecond)
        contactAsksPerHour = reader.integer("contactAsksPerHour", in: 0...1_000_000, default: contactAsksPerHour)
        messagesPerSenderPerMinute = reader.integer(
            "messagesPerSenderPerMinute", in: 0...10_000_000, default: messagesPerSenderPerMinute)
        messagesPerRecipientPerMinute = reader.integer(
            "messagesPerRecipientPerMinute", in: 0...10_000_000, default: messagesPerRecipientPerMinute)
        editSeconds = reader.integer("editSeconds", in: 0...31_536_000, default: editSeconds)
        attachmentBytes = reader.integer("attachmentBytes", in: 0...(1 << 50), default: attachmentBytes)
    }
}
