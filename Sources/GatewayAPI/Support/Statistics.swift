internal import Base
internal import Gateway

/// The gateway in numbers, for `/metrics` and for the administrator's status.
struct Statistics {
    private let accounts: Int
    private let devices: Int
    private let registrations: Int
    private let sessions: Int
    private let streams: Int
    private let pendingNotifications: Int
    private let messages: (open: Int, locked: Int, dead: Int)
    private let lanes: [(lane: String, waiting: Int, underWay: Int, isOpen: Bool)]
    private let callbacks: [(app: AppID, inHand: Int, isProven: Bool, isOpen: Bool)]
    private let monitors: [SupervisorMachine.State: Int]
    private let oldest: (overdue: Int, age: Duration)
    private let requests: [Int: Int]
    private let isReady: Bool
    private let version: String

    init(_ context: APIContext) {
        let gateway = context.gateway
        accounts = gateway.accounts.count
        devices = gateway.devices.count
        registrations = gateway.registrations.count
        (sessions, streams) = (gateway.sessions.count, gateway.streams.count)
        (pendingNotifications, messages) = (gateway.notifier.pendingCount, gateway.mailroom.totals)
        (lanes, monitors) = (gateway.dispatcher.statistics(), gateway.monitors.counts())
        callbacks = gateway.callbacks.statistics()
        oldest = gateway.monitors.oldest()
        requests = context.requests.withLock { $0 }
        isReady = context.isReady
        version = context.options.version
    }

    var json: JSON {
        var states = JSONObject()
        for state in SupervisorMachine.State.allCases { states.append(state.rawValue, .integer(monitors[state] ?? 0)) }
        return [
            "version": .string(version), "ready": .bool(isReady), "accounts": .integer(accounts),
            "devices": .integer(devices), "registrations": .integer(registrations), "sessions": .integer(sessions),
            "streams": .integer(streams), "pendingNotifications": .integer(pendingNotifications),
            "openMessages": .integer(messages.open), "lockedMessages": .integer(messages.locked),
            "deadMessages": .integer(messages.dead), "monitors": .object(states),
            "monitorsOverdue": .integer(oldest.overdue), "oldestSuccessSeconds": .integer(oldest.age.wholeSeconds),
            "lanes": .array(
                lanes.map { lane in
                    [
                        "push": .string(lane.lane), "waiting": .integer(lane.waiting),
                        "underWay": .integer(lane.underWay), "open": .bool(lane.isOpen),
                    ]
                }),
        ]
    }

    /// In the Prometheus text format, version 0.0.4.
    func text(_ usage: ProcessUsage) -> String {
        var page = MetricsPage()
        page.gauge("farbell_accounts", "Accounts.", Double(accounts))
        page.gauge("farbell_devices", "Devices.", Double(devices))
        page.gauge("farbell_registrations", "Registrations.", Double(registrations))
        page.gauge("farbell_sessions", "Sessions of remote apps' clients.", Double(sessions))
        page.gauge("farbell_streams", "Devices with a stream open.", Double(streams))
        page.gauge("farbell_notifications_pending", "Notifications not settled yet.", Double(pendingNotifications))
        page.gauge("farbell_messages_open", "Messages that are not settled.", Double(messages.open))
        page.gauge("farbell_messages_locked", "Messages that consumers have locked.", Double(messages.locked))
        page.gauge("farbell_messages_dead", "Dead letters.", Double(messages.dead))
        page.gauge(
            "farbell_push_waiting", "Pushes waiting in a lane.", label: "push",
            lanes.map { ($0.lane, Double($0.waiting)) })
        page.gauge(
            "farbell_push_under_way", "Pushes a service is being asked to carry.", label: "push",
            lanes.map { ($0.lane, Double($0.underWay)) })
        page.gauge(
            "farbell_push_breaker_open", "1 while a lane waits because its service is in trouble.", label: "push",
            lanes.map { ($0.lane, $0.isOpen ? 1 : 0) })
        page.gauge(
            "farbell_callback_in_hand", "Messages an application is being called with.", label: "app",
            callbacks.map { ($0.app.text, Double($0.inHand)) })
        page.gauge(
            "farbell_callback_ready", "1 while an application has echoed the challenge and answers.", label: "app",
            callbacks.map { ($0.app.text, $0.isProven && !$0.isOpen ? 1 : 0) })
        page.gauge(
            "farbell_monitors", "Monitors by state.", label: "state",
            SupervisorMachine.State.allCases.map { ($0.rawValue, Double(monitors[$0] ?? 0)) })
        page.gauge(
            "farbell_monitors_overdue", "Monitors whose last success is older than twice what is expected.",
            Double(oldest.overdue))
        page.gauge(
            "farbell_monitors_oldest_success_seconds", "How long ago the monitor heard longest ago was heard.",
            oldest.age.inSeconds)
        page.counter(
            "farbell_requests_total", "Answers by status.", label: "status",
            requests.sorted { $0.key < $1.key }.map { (String($0.key), Double($0.value)) })
        page.gauge("farbell_ready", "1 while requests can be served.", isReady ? 1 : 0)
        page.add(usage)
        return page.text
    }
}

/// Builds a page of metrics (Prometheus text exposition format).
struct MetricsPage {
    private(set) var text = ""

    private mutating func head(_ name: String, _ help: String, _ type: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    /// Whole numbers without a fraction.
    private func number(_ value: Double) -> String { Int64(exactly: value).map { String($0) } ?? "\(value)" }

    /// Backslash, quote and line end are escaped in label values.
    private func escaped(_ label: String) -> String {
        label.reduce(into: "") { text, character in
            switch character {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.append(character)
            }
        }
    }

    private mutating func values(_ name: String, _ label: String, _ values: [(String, Double)]) {
        for (value, count) in values { text += "\(name){\(label)=\"\(escaped(value))\"} \(number(count))\n" }
    }

    mutating func gauge(_ name: String, _ help: String, _ value: Double) {
        head(name, help, "gauge")
        text += "\(name) \(number(value))\n"
    }

    mutating func gauge(_ name: String, _ help: String, label: String, _ values: [(String, Double)]) {
        head(name, help, "gauge")
        self.values(name, label, values)
    }

    mutating func counter(_ name: String, _ help: String, label: String, _ values: [(String, Double)]) {
        head(name, help, "counter")
        self.values(name, label, values)
    }

    /// The process, by the names every Prometheus client library uses; what is unknown is left out.
    mutating func add(_ usage: ProcessUsage) {
        if let bytes = usage.residentBytes {
            gauge("process_resident_memory_bytes", "Resident memory size in bytes.", Double(bytes))
        }
        if let seconds = usage.cpuSeconds {
            head("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", "counter")
            text += "process_cpu_seconds_total \(number(seconds))\n"
        }
        if let count = usage.openDescriptors {
            gauge("process_open_fds", "Number of open file descriptors.", Double(count))
        }
    }
}
