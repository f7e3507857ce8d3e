internal import Base
internal import XML

/// The answers' XML.
enum ExchangeWriter {
    static let soap = "http://schemas.xmlsoap.org/soap/envelope/"
    static let messages = "http://schemas.microsoft.com/exchange/services/2006/messages"
    static let types = "http://schemas.microsoft.com/exchange/services/2006/types"
    static let errors = "http://schemas.microsoft.com/exchange/services/2006/errors"

    static func m(_ name: String, _ children: [XMLElement] = [], text: String = "") -> XMLElement {
        XMLElement(name, in: messages, children: children, text: text)
    }

    static func t(_ name: String, _ children: [XMLElement] = [], text: String = "") -> XMLElement {
        XMLElement(name, in: types, children: children, text: text)
    }

    static func envelope(_ body: XMLElement) -> [UInt8] {
        XMLElement("Envelope", in: soap, children: [XMLElement("Body", in: soap, children: [body])]).document
    }

    /// `OperationResponse` with one message for each of `messages`: its code and its own elements.
    static func response(_ operation: String, _ messages: [(code: String, elements: [XMLElement])]) -> [UInt8] {
        let all = messages.map { message in
            XMLElement(
                "\(operation)ResponseMessage", in: Self.messages,
                ["ResponseClass": message.code == "NoError" ? "Success" : "Error"],
                children: (message.code == "NoError" ? [] : [m("MessageText", text: "It did not work.")])
                    + [m("ResponseCode", text: message.code)] + message.elements)
        }
        return envelope(m("\(operation)Response", [m("ResponseMessages", all)]))
    }

    static func fault(_ code: String, backOffMilliseconds: Int?) -> [UInt8] {
        var detail = [
            XMLElement("ResponseCode", in: errors, text: code),
            XMLElement("Message", in: errors, text: "It did not work."),
        ]
        if let backOffMilliseconds {
            let value = XMLElement(
                "Value", in: types, ["Name": "BackOffMilliseconds"], text: "\(backOffMilliseconds)")
            detail.append(t("MessageXml", [value]))
        }
        return envelope(
            XMLElement(
                "Fault", in: soap,
                children: [
                    XMLElement("faultcode", in: "", text: "a:\(code)"),
                    XMLElement("faultstring", in: "", text: "It did not work."),
                    XMLElement("detail", in: "", children: detail),
                ]))
    }

    static func notification(_ subscription: String, event: String) -> XMLElement {
        m("Notification", [t("SubscriptionId", text: subscription), t(event, [])])
    }

    static func streaming(
        _ notifications: [XMLElement] = [], status: String? = nil, code: String = "NoError", lost: [String] = []
    ) -> [UInt8] {
        var elements: [XMLElement] = []
        if !notifications.isEmpty { elements.append(m("Notifications", notifications)) }
        if !lost.isEmpty { elements.append(m("ErrorSubscriptionIds", lost.map { m("SubscriptionId", text: $0) })) }
        if let status { elements.append(m("ConnectionStatus", text: status)) }
        return response("GetStreamingEvents", [(code, elements)])
    }

    static func message(_ id: String, _ message: FakeMailbox.Message) -> XMLElement {
        let news = message.news
        let item = XMLElement("ItemId", in: types, ["Id": id, "ChangeKey": "CQAAAB"])
        let address = t(
            "Mailbox", [t("Name", text: news.sender), t("EmailAddress", text: news.senderAddress)])
        return t(
            "Message",
            [
                item, t("Subject", text: news.subject), t("DateTimeReceived", text: news.time),
                t("InternetMessageId", text: "<\(news.id)@example.org>"), t("From", [address]),
                t("IsRead", text: message.isRead ? "true" : "false"),
            ])
    }
}
