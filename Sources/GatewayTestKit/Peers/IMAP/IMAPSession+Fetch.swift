internal import Base

extension IMAPSession {
    func select(_ command: IMAPCommand) {
        guard let user else { return connection.send("\(command.tag) BAD log in first\r\n") }
        deselect()
        if let refusal = core.faults(of: user).refusesSelect { return connection.send("\(command.tag) \(refusal)\r\n") }
        guard let mailbox = core.mailbox(user, command.arguments.first ?? "") else {
            return connection.send("\(command.tag) NO [NONEXISTENT] no such mailbox\r\n")
        }
        showMailbox(mailbox)
        connection.pacing = faults.pieces
        let mode = command.name == "EXAMINE" ? "READ-ONLY" : "READ-WRITE"
        connection.send(
            "* \(view.count) EXISTS\r\n* 0 RECENT\r\n* FLAGS (\\Seen \\Deleted)\r\n"
                + "* OK [UIDVALIDITY \(mailbox.uidValidity)] ok\r\n* OK [UIDNEXT \(mailbox.uidNext)] ok\r\n"
                + "\(command.tag) OK [\(mode)] selected\r\n")
    }

    func status(_ command: IMAPCommand) {
        guard let user, let name = command.arguments.first, let mailbox = core.mailbox(user, name) else {
            return connection.send("\(command.tag) NO [NONEXISTENT] no such mailbox\r\n")
        }
        let unseen = mailbox.messages.count { !$0.flags.contains("\\Seen") }
        let known = [
            "MESSAGES": "\(mailbox.messages.count)", "UIDNEXT": "\(mailbox.uidNext)",
            "UIDVALIDITY": "\(mailbox.uidValidity)", "UNSEEN": "\(unseen)", "RECENT": "0",
        ]
        let wanted = Self.list(command.arguments.dropFirst().first ?? "").map { $0.uppercased() }
        let values = wanted.compactMap { name in known[name].map { "\(name) \($0)" } }
        connection.send("* STATUS \"\(name)\" (\(values.joined(separator: " ")))\r\n\(command.tag) OK done\r\n")
    }

    func list(_ command: IMAPCommand) {
        guard user != nil else { return connection.send("\(command.tag) BAD log in first\r\n") }
        let lines = core.configuration.folders.map {
            "* \(command.name) (\(core.configuration.attributes[$0] ?? "")) \"/\" \"\($0)\"\r\n"
        }
        connection.send(lines.joined() + "\(command.tag) OK done\r\n")
    }

    func search(_ command: IMAPCommand) {
        guard let mailbox else { return connection.send("\(command.tag) BAD select first\r\n") }
        let byUID = command.name == "UID SEARCH"
        var found = Array(mailbox.messages.indices)
        var words = command.arguments[...]
        while let word = words.popFirst()?.uppercased() {
            switch word {
            case "ALL": break
            case "UNSEEN": found = found.filter { !mailbox.messages[$0].flags.contains("\\Seen") }
            case "SEEN": found = found.filter { mailbox.messages[$0].flags.contains("\\Seen") }
            case "UID":
                let wanted = SequenceSet(words.popFirst() ?? "", last: view.last ?? 0)
                found = found.filter { wanted.contains(mailbox.messages[$0].uid) }
            case "SINCE": _ = words.popFirst()
            default: return connection.send("\(command.tag) BAD \(word) is not understood here\r\n")
            }
        }
        let numbers = found.compactMap { index -> String? in
            let uid = mailbox.messages[index].uid
            if byUID { return "\(uid)" }
            return view.firstIndex(of: uid).map { "\($0 + 1)" }
        }
        let result = (["* SEARCH"] + numbers).joined(separator: " ")
        connection.send("\(result)\r\n\(pendingUpdates(expunges: byUID))\(command.tag) OK done\r\n")
    }

    func fetch(_ command: IMAPCommand) {
        guard let mailbox else { return connection.send("\(command.tag) BAD select first\r\n") }
        guard command.arguments.count >= 2 else { return connection.send("\(command.tag) BAD what?\r\n") }
        let byUID = command.name == "UID FETCH"
        let items = command.arguments[1...].flatMap { Self.list($0) }
        let last = byUID ? view.last ?? 0 : UInt32(view.count)
        let wanted = SequenceSet(command.arguments[0], last: last)
        var output: [UInt8] = []
        let arriving = mailbox.arrivingDuringFetch
        mailbox.arrivingDuringFetch = []
        var interrupted = arriving.isEmpty
        for (index, uid) in view.enumerated() where wanted.contains(byUID ? uid : UInt32(index + 1)) {
            guard !mailbox.faults.fetchesNothing, let place = mailbox.index(of: uid) else { continue }
            append(mailbox.messages[place], index + 1, items, byUID, to: &output)
            if !interrupted {
                interrupted = true
                arrive(arriving, mailbox, &output)
            }
        }
        if !interrupted { arrive(arriving, mailbox, &output) }
        output.append(contentsOf: pendingUpdates(expunges: byUID).utf8)
        output.append(contentsOf: "\(command.tag) OK done\r\n".utf8)
        connection.send(output)
    }

    private func arrive(
        _ arriving: [(header: [UInt8], date: Timestamp)], _ mailbox: IMAPMailbox, _ output: inout [UInt8]
    ) {
        for (header, date) in arriving { core.add(to: mailbox, header, [], date, announceExcept: self) }
        output.append(contentsOf: pendingUpdates(expunges: false).utf8)
    }

    private func append(
        _ message: IMAPMailbox.Message, _ sequence: Int, _ items: [String], _ withUID: Bool, to output: inout [UInt8]
    ) {
        output.append(contentsOf: "* \(sequence) FETCH (".utf8)
        var first = true
        func start() {
            if !first { output.append(UInt8(ascii: " ")) }
            first = false
        }
        if withUID || items.contains(where: { $0.uppercased() == "UID" }) {
            start()
            output.append(contentsOf: "UID \(message.uid)".utf8)
        }
        for item in items {
            let upper = item.uppercased()
            switch upper {
            case "UID": break
            case "FLAGS":
                start()
                output.append(contentsOf: "FLAGS (\(message.flags.sorted().joined(separator: " ")))".utf8)
            case "INTERNALDATE":
                start()
                output.append(contentsOf: "INTERNALDATE \"\(IMAPDate.text(message.date))\"".utf8)
            case "RFC822.SIZE":
                start()
                output.append(contentsOf: "RFC822.SIZE \(message.header.count)".utf8)
            default:
                guard let section = IMAPSection(item) else { continue }
                start()
                let content = section.content(of: message.header)
                output.append(contentsOf: "\(section.label) {\(content.count)}\r\n".utf8)
                output.append(contentsOf: content)
            }
        }
        output.append(contentsOf: ")\r\n".utf8)
    }

    /// The words of a parenthesised list, or the one word.
    private static func list(_ text: String) -> [String] {
        text.hasPrefix("(") && text.hasSuffix(")") ? IMAPCommand.words(String(text.dropFirst().dropLast())) : [text]
    }
}
