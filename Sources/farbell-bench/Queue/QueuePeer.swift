/// A queue that `queue` measures.
enum QueuePeer: String, CaseIterable, Sendable {
    case farbell
    case beanstalkd
    case redis
    case rabbitmq
    case postgresql
    /// PostgreSQL again, with the lock as an open transaction instead of columns.
    case postgresqlOpen = "postgresql-open"
    /// No queue: what a put takes with Farbell's own libraries (`farbell-floor`).
    case floor

    var title: String {
        switch self {
        case .farbell: "Farbell"
        case .beanstalkd: "beanstalkd"
        case .redis: "Redis"
        case .rabbitmq: "RabbitMQ"
        case .postgresql: "PostgreSQL"
        case .postgresqlOpen: "PG, open tx"
        case .floor: "floor"
        }
    }

    /// What is compared, and where it is not the same thing.
    var remark: String {
        switch self {
        case .farbell:
            "Farbell: HTTP/1.1 and JSON, connections kept alive, an app with a key; `POST /v1/messages`, `/batch`, `receive`,"
                + " `{id}/complete`, `settle`. A lock costs no sync and ends with a restart."
        case .beanstalkd:
            "beanstalkd `-f0`: put, reserve, delete; a reservation is not written. It has no batches: many are a pipeline,"
                + " with a sync for each."
        case .redis:
            "Redis `appendfsync always`: streams; XADD, XREADGROUP, XACK with XDEL in one write. Who has a message is"
                + " synced too. Many are put in MULTI … EXEC and taken with COUNT."
        case .rabbitmq:
            "RabbitMQ: one quorum queue on one node; publisher confirms; consumers with a prefetch as large as the batch."
                + " It does not answer an acknowledgement: a consumer is measured by its next delivery, which comes after it,"
                + " and the end of a drain is when the acknowledgement was sent."
        case .postgresql:
            "PostgreSQL: INSERT (many: one with an array); UPDATE of lease columns … FOR UPDATE SKIP LOCKED, then DELETE;"
                + " two syncs for each message. Hand-off by NOTIFY in the insert's transaction."
        case .postgresqlOpen:
            "PG, open tx: SELECT … FOR UPDATE SKIP LOCKED, DELETE, COMMIT: one sync, but the lock is the consumer's open"
                + " transaction: no lease, one connection for each message being worked on."
        case .floor:
            "floor: no queue, and none of the others: libmicrohttpd and SQLite in 300 lines of C, which put a row for each"
                + " message, sync once for all that wait, and answer always the same. What Farbell does comes on top."
        }
    }

    /// The parts that say something new about it.
    var parts: Set<QueuePart> {
        switch self {
        case .floor: [.put]
        case .postgresqlOpen: [.take, .drain]
        default: Set(QueuePart.allCases)
        }
    }

    /// Whether Farbell has to be ahead of it.
    var isRival: Bool { self != .farbell && self != .floor }

    /// As the load client calls what it speaks.
    var language: String { self == .floor ? Self.farbell.rawValue : rawValue }

    /// The most messages it is asked for at once by the client that drains it: Farbell's own limit, or all.
    var drainBatch: Int { self == .farbell ? 100 : 1000 }

    /// Whether it can be told not to sync, for filling it only.
    var canHurry: Bool { self != .farbell && self != .floor && self != .rabbitmq }

    /// The Debian package.
    var package: String {
        switch self {
        case .farbell: "farbell"
        case .beanstalkd: "beanstalkd"
        case .redis: "redis-server"
        case .rabbitmq: "rabbitmq-server"
        case .postgresql, .postgresqlOpen: "postgresql"
        case .floor: "farbell-floor"
        }
    }
}

/// A group of measures.
enum QueuePart: String, CaseIterable, Sendable {
    case put
    case take
    case handoff
    case drain
    case start
}

/// A line of the report.
struct QueueMeasure: Sendable, Hashable {
    enum Unit: Sendable { case perSecond, microseconds, milliseconds, seconds }

    let title: String
    let unit: Unit
    /// What Farbell has to reach; nil for none.
    var bar: Double?
    /// Whether Farbell has to be ahead of every peer.
    var leads = false
    /// Whether it is the machine that is measured, so that one sees who met a busy one.
    var isMachine = false

    /// Whether less is better.
    var isTime: Bool { unit != .perSecond }

    func meets(_ value: Double) -> Bool { bar.map { isTime ? value <= $0 : value >= $0 } ?? true }
}

/// What came out for one peer.
struct QueueFigure: Sendable {
    var value: Double
    /// Processor time of the load client and of the server: 1 is a core.
    var client: Double
    var server: Double
    /// Of a request, or of a pair of them, in microseconds.
    var p50: Double?
    var p99: Double?
}
