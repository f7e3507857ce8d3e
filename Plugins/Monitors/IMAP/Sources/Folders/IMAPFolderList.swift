internal import Base
internal import Gateway
internal import MailMonitoring

/// Asks a server once which folders there are.
struct IMAPFolderList {
    let timeout: Duration
    let time: any TimeSource

    /// Folders that a list may name; a server that names more is given up.
    static let listLimit = 20_000

    /// All folders, in the server's order.
    /// - Throws: `MonitorFailure`; `CancellationError`.
    func folders(_ stream: any MailStream) async throws -> [IMAPFolder] {
        var framer = IMAPFramer()
        var capabilities: Set<String> = []
        _ = try await ask("L1 CAPABILITY", stream, &framer) { response in
            if case .capability(let names) = response { capabilities = names }
        }
        var folders: [IMAPFolder] = []
        // Without the option, servers may leave the attributes out (RFC 6154 section 2).
        let isExtended = capabilities.isSuperset(of: ["LIST-EXTENDED", "SPECIAL-USE"])
        let status = try await ask(
            "L2 LIST \"\" \"*\"\(isExtended ? " RETURN (SPECIAL-USE)" : "")", stream, &framer
        ) { response in
            if case .folder(let folder) = response { folders.append(folder) }
            guard folders.count <= Self.listLimit else {
                throw MonitorFailure(.protocolViolation, "the list names more than \(Self.listLimit) folders")
            }
        }
        guard status.kind == .ok else { throw IMAPFailure.of(status, to: "LIST", now: time.now) }
        return folders
    }

    private func ask(
        _ command: String, _ stream: any MailStream, _ framer: inout IMAPFramer,
        _ take: (IMAPResponse) throws -> Void
    ) async throws -> IMAPStatus {
        let tag = command.prefix { $0 != " " }
        let end = time.now + timeout
        do {
            try await stream.send(Array("\(command)\r\n".utf8))
            while true {
                guard let bytes = try await stream.receive(until: end) else {
                    throw MonitorFailure(.network, "the server did not answer LIST in time")
                }
                if bytes.isEmpty { throw MonitorFailure(.network, "the server closed the connection") }
                for response in try framer.feed(bytes) {
                    if case .status(let status) = response, status.tag.map({ $0 == tag }) ?? (status.kind == .bye) {
                        if status.tag == nil { throw IMAPFailure.of(status, to: "LIST", now: time.now) }
                        return status
                    }
                    try take(response)
                }
            }
        } catch let error as IMAPSyntaxError {
            throw MonitorFailure(.protocolViolation, error.message)
        } catch let error as MonitorFailure {
            throw error
        } catch let error as CancellationError {
            throw error
        } catch {
            throw MonitorFailure(.network, ServerWords.clean("the connection broke: \(error)"))
        }
    }

    // MARK: Choosing

    /// Whatever is sent, deleted, spam or a second view of all mail never rings (RFC 6154).
    private static let unwanted: Set<String> = [
        "\\sent", "\\drafts", "\\junk", "\\trash", "\\all", "\\flagged", "\\archive", "\\important", "\\noselect",
        "\\nonexistent",
    ]
    /// What such folders are called where a server gives no attributes.
    private static let unwantedNames: Set<String> = [
        "sent", "sent items", "sent messages", "sent mail", "drafts", "junk", "junk e-mail", "junk email", "spam",
        "bulk mail", "trash", "deleted items", "deleted messages", "bin", "archive", "archives", "all mail",
    ]

    /// The folders to watch: those that a pattern names, less the unwanted ones; the inbox first.
    static func chosen(_ folders: [IMAPFolder], patterns: [String]) -> [String] {
        let uses = unwanted.subtracting(["\\noselect", "\\nonexistent"])
        let hasAttributes = folders.contains { !$0.attributes.isDisjoint(with: uses) }
        let names = folders.filter { folder in
            let isInbox = folder.name.uppercased() == "INBOX"
            guard isInbox || folder.attributes.isDisjoint(with: unwanted) else { return false }
            let last =
                folder.separator.flatMap { folder.name.split(separator: $0).last.map(String.init) } ?? folder.name
            if !isInbox && !hasAttributes && unwantedNames.contains(last.lowercased()) { return false }
            return patterns.contains { matches(Array(folder.name), Array($0), folder.separator, isInbox) }
        }.map { $0.name.uppercased() == "INBOX" ? "INBOX" : $0.name }
        let sorted = Set(names).sorted { $0 == "INBOX" || ($1 != "INBOX" && $0 < $1) }
        return Array(sorted.prefix(IMAPFolderWatch.limit))
    }

    /// `*` stands for anything, `%` for anything within one level (RFC 3501 section 6.3.8).
    private static func matches(
        _ name: [Character], _ pattern: [Character], _ separator: Character?, _ isInbox: Bool
    ) -> Bool {
        if isInbox && String(pattern).uppercased() == "INBOX" { return true }
        // Which beginnings of the name the pattern so far stands for.
        var ends: Set<Int> = [0]
        for part in pattern {
            switch part {
            case "*": ends = Set((ends.min() ?? name.count + 1)..<(name.count + 1))
            case "%":
                var reached = ends
                for end in ends {
                    reached.formUnion(end...(name[end...].firstIndex { $0 == separator } ?? name.count))
                }
                ends = reached
            default: ends = Set(ends.filter { $0 < name.count && name[$0] == part }.map { $0 + 1 })
            }
            if ends.isEmpty { return false }
        }
        return ends.contains(name.count)
    }
}
