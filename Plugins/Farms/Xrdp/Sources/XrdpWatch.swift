internal import Base
internal import Gateway

/// What xrdp's socket folder tells, where Farbell runs on the farm's host. `xrdpapi_N` is there while display N has a
/// session, and belongs to its user; `xrdp_chansrv_socket_N` is there exactly while no client is connected to it
/// (xrdp 0.9, `chansrv.c`: it stops listening once xrdp is connected, and listens again afterwards).
struct XrdpWatch: Sendable {
    /// From a question of the probe to its answer.
    static let probeLimit: Duration = .seconds(5)
    /// Sessions that are probed at the same time.
    static let probesAtOnce = 4

    struct Unreadable: Error, CustomStringConvertible {
        let description: String
    }

    private let folder: String
    /// Says `visible` or `hidden` of a user's display; nil: connected is all that is known.
    private let probe: String?
    private let time: any TimeSource
    private let files = WorkThread(name: "xrdp-watch", limit: 100)

    init(_ reader: ConfigReader, time: any TimeSource) {
        folder = reader.document.resolve(reader.string("sockets", default: "/run/xrdp/sockdir"))
        probe = reader.optionalString("probe").map(reader.document.resolve)
        self.time = time
        if let probe, !FileSystem.isExecutable(probe) {
            reader.report("probe", "'\(probe)' is not a program that can be run")
        }
    }

    /// Whether more than connected is known.
    var probes: Bool { probe != nil }

    /// One display's session.
    struct Session: Sendable, Hashable {
        let display: Int
        let user: String
        let isConnected: Bool
    }

    /// The sessions of a host, by the files of its socket folder and who owns them.
    static func sessions(_ files: [(name: String, owner: String?)]) -> [Session] {
        func display(_ name: String, _ prefix: String) -> Int? {
            name.hasPrefix(prefix) ? Int(name.dropFirst(prefix.count)) : nil
        }
        let waiting = Set(files.compactMap { display($0.name, "xrdp_chansrv_socket_") })
        return files.compactMap { file in
            guard let number = display(file.name, "xrdpapi_"), let owner = file.owner else { return nil }
            return Session(display: number, user: owner, isConnected: !waiting.contains(number))
        }
        .sorted { $0.display < $1.display }
    }

    /// What can be said of these users. One with several sessions is where any of them is.
    /// - Throws: `Unreadable` when the folder cannot be read: then nothing is known of anybody.
    func look(at users: Set<String>) async throws -> [String: FarmFact.State] {
        let folder = folder
        let listed = try await files.run { () -> [(name: String, owner: String?)]? in
            FileSystem.names(in: folder)?.map { ($0, FileSystem.owner(of: "\(folder)/\($0)")) }
        }
        guard let listed else { throw Unreadable(description: "the folder '\(folder)' cannot be read") }
        let sessions = Self.sessions(listed).filter { users.contains($0.user) }
        var states = Dictionary(uniqueKeysWithValues: users.map { ($0, FarmFact.State.disconnected) })
        let connected = sessions.filter(\.isConnected)
        await withTaskGroup(of: (String, FarmFact.State).self) { group in
            var rest = connected[...]
            func next() {
                guard let session = rest.popFirst() else { return }
                group.addTask { (session.user, await state(of: session)) }
            }
            for _ in 0..<Self.probesAtOnce { next() }
            while let (user, state) = await group.next() {
                states[user] = Self.best(states[user] ?? .disconnected, state)
                next()
            }
        }
        return states
    }

    /// Of two sessions the one that speaks less against a client in front.
    private static func best(_ a: FarmFact.State, _ b: FarmFact.State) -> FarmFact.State {
        let order: [FarmFact.State] = [.disconnected, .hidden, .unknown, .connected, .visible]
        return (order.firstIndex(of: a) ?? 0) > (order.firstIndex(of: b) ?? 0) ? a : b
    }

    private func state(of session: Session) async -> FarmFact.State {
        guard let probe else { return .connected }
        let command = ChildProgram.Command(
            probe, [session.user, String(session.display)],
            environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"])
        // A probe that fails or hangs says nothing.
        let output = try? await ProgramRun.output(of: command, within: Self.probeLimit, time: time)
        switch output?.lines.last {
        case "visible": return .visible
        case "hidden": return .hidden
        default: return .connected
        }
    }
}
