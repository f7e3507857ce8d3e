internal import Base
internal import XML

// The operations of the fake.
extension ExchangeCore {
    func perform(_ call: ExchangeCall) throws -> PeerReply {
        switch call.operation {
        case "Subscribe": try subscribe(call)
        case "Unsubscribe": try unsubscribe(call)
        case "GetStreamingEvents": try stream(call)
        case "SyncFolderItems": try sync(call)
        case "GetItem": try items(call)
        default: throw ExchangeRefusal("the operation \(call.operation)", code: "ErrorInvalidOperation")
        }
    }

    private func answer(
        _ call: ExchangeCall, _ messages: [(code: String, elements: [XMLElement])], cookie: String? = nil
    ) -> PeerReply { Self.xml(200, ExchangeWriter.response(call.operation, messages), cookie: cookie) }

    /// The distinguished folder that an element names.
    private func folder(_ element: XMLElement?) throws {
        guard element?.child("DistinguishedFolderId", in: ExchangeWriter.types)?.attribute("Id") == "inbox" else {
            throw ExchangeRefusal("no folder inbox")
        }
    }

    private func subscribe(_ call: ExchangeCall) throws -> PeerReply {
        guard let request = call.element.child("StreamingSubscriptionRequest") else {
            throw ExchangeRefusal("no streaming subscription")
        }
        try folder(request.child("FolderIds", in: ExchangeWriter.types))
        let events = request.child("EventTypes", in: ExchangeWriter.types)?.children("EventType").map(\.text) ?? []
        let known = ["CopiedEvent", "CreatedEvent", "DeletedEvent", "ModifiedEvent", "MovedEvent", "NewMailEvent"]
        guard !events.isEmpty, events.allSatisfy(known.contains) else { throw ExchangeRefusal("event types") }
        return state.withLock { state in
            let server = call.server(generation: state.generation) ?? "\(state.generation)-lost\(state.lastID)"
            state.lastID += 1
            let id = "sub-\(state.generation)-\(state.lastID)"
            state.subscriptions[id] = Subscription(mailbox: call.mailbox, server: server)
            return answer(call, [("NoError", [ExchangeWriter.m("SubscriptionId", text: id)])], cookie: server)
        }
    }

    private func unsubscribe(_ call: ExchangeCall) throws -> PeerReply {
        guard let id = call.element.text(of: "SubscriptionId") else { throw ExchangeRefusal("no subscription id") }
        let known = state.withLock { $0.subscriptions.removeValue(forKey: id) != nil }
        return answer(call, [(known ? "NoError" : "ErrorSubscriptionNotFound", [])])
    }

    private func stream(_ call: ExchangeCall) throws -> PeerReply {
        let ids = call.element.child("SubscriptionIds")?.children("SubscriptionId", in: ExchangeWriter.types).map(
            \.text)
        guard let ids, (1...200).contains(ids.count), Set(ids).count == ids.count else {
            throw ExchangeRefusal("\(ids?.count ?? 0) subscription ids", code: "ErrorInvalidSubscriptionRequest")
        }
        guard let minutes = call.element.text(of: "ConnectionTimeout").flatMap({ Int($0) }), (1...30).contains(minutes)
        else { throw ExchangeRefusal("the connection timeout", code: "ErrorInvalidArgument") }
        let open = hanging().count { $0.caller == call.caller }
        guard open < options.hangingLimit else {
            return answer(call, [("ErrorExceededConnectionCount", [])])
        }
        let stream = PeerStream()
        state.withLock { state in
            // The anchor's server may have changed since; only the cookie leads to where the subscriptions are.
            let server = call.cookieServer
            let lost = ids.filter { state.subscriptions[$0].map { $0.server != server } ?? true }
            state.largestStream = max(state.largestStream, ids.count)
            stream.send(ExchangeWriter.streaming(status: "OK"))
            guard lost.isEmpty else {
                stream.send(ExchangeWriter.streaming(code: "ErrorSubscriptionNotFound", lost: lost))
                return stream.finish()
            }
            let news = ids.filter { state.subscriptions[$0]?.hasNews == true }
            for id in news { state.subscriptions[id]?.hasNews = false }
            if !news.isEmpty {
                stream.send(
                    ExchangeWriter.streaming(news.map { ExchangeWriter.notification($0, event: "NewMailEvent") }))
            }
            state.streams.append(Hanging(stream: stream, caller: call.caller, ids: ids))
        }
        return PeerReply(.stream(status: 200, headers: ["Content-Type": "text/xml; charset=utf-8"], stream))
    }

    private func sync(_ call: ExchangeCall) throws -> PeerReply {
        let names = call.element.children.map(\.name.local)
        let order = ["ItemShape", "SyncFolderId", "SyncState", "Ignore", "MaxChangesReturned", "SyncScope"]
        guard names == order.filter(names.contains),
            call.element.child("ItemShape")?.text(of: "BaseShape", in: ExchangeWriter.types) == "IdOnly",
            let limit = call.element.text(of: "MaxChangesReturned").flatMap({ Int($0) }), (1...512).contains(limit)
        else { throw ExchangeRefusal("the elements \(names)") }
        try folder(call.element.child("SyncFolderId"))
        let mailbox = state.withLock { $0.mailboxes[call.mailbox] ?? FakeMailbox() }
        guard let page = mailbox.page(after: call.element.text(of: "SyncState"), limit: limit) else {
            return answer(call, [("ErrorInvalidSyncStateData", [])])
        }
        func item(_ id: String) -> XMLElement {
            XMLElement("ItemId", in: ExchangeWriter.types, ["Id": id, "ChangeKey": "CQAAAB"])
        }
        let changes = page.changes.map { change in
            switch change {
            case .create(let id): ExchangeWriter.t("Create", [ExchangeWriter.t("Message", [item(id)])])
            case .delete(let id): ExchangeWriter.t("Delete", [item(id)])
            case .read(let id):
                ExchangeWriter.t("ReadFlagChange", [item(id), ExchangeWriter.t("IsRead", text: "true")])
            }
        }
        return answer(
            call,
            [
                (
                    "NoError",
                    [
                        ExchangeWriter.m("SyncState", text: page.state),
                        ExchangeWriter.m("IncludesLastItemInRange", text: page.isLast ? "true" : "false"),
                        ExchangeWriter.m("Changes", changes),
                    ]
                )
            ])
    }

    private func items(_ call: ExchangeCall) throws -> PeerReply {
        let ids = call.element.child("ItemIds")?.children("ItemId", in: ExchangeWriter.types)
            .compactMap { $0.attribute("Id") }
        guard let ids, (1...10).contains(ids.count) else { throw ExchangeRefusal("\(ids?.count ?? 0) items at once") }
        guard call.element.child("ItemShape")?.text(of: "BaseShape", in: ExchangeWriter.types) == "IdOnly" else {
            throw ExchangeRefusal("another shape than IdOnly")
        }
        let mailbox = state.withLock { $0.mailboxes[call.mailbox] ?? FakeMailbox() }
        return answer(
            call,
            ids.map { id in
                guard let message = mailbox.messages[id] else {
                    return ("ErrorItemNotFound", [ExchangeWriter.m("Items")])
                }
                return ("NoError", [ExchangeWriter.m("Items", [ExchangeWriter.message(id, message)])])
            })
    }
}
