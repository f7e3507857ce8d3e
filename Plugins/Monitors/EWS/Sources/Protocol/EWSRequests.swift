internal import XML

/// The namespaces of the service (its types.xsd and messages.xsd) and of SOAP 1.1.
enum EWSNames {
    static let soap = "http://schemas.xmlsoap.org/soap/envelope/"
    static let messages = "http://schemas.microsoft.com/exchange/services/2006/messages"
    static let types = "http://schemas.microsoft.com/exchange/services/2006/types"
    static let errors = "http://schemas.microsoft.com/exchange/services/2006/errors"
}

/// The requests as XML. All are about the inbox alone: what is in other folders, such as sent items and junk, never
/// rings.
enum EWSRequests {
    /// Items of one `GetItem` request; more at a time are throttled sooner
    /// (learn.microsoft.com/exchange/client-developer/exchange-web-services/ews-throttling-in-exchange).
    static let itemsPerRequest = 10

    private static func m(
        _ name: String, _ attributes: KeyValuePairs<String, String> = [:], _ children: [XMLElement] = [],
        text: String = ""
    ) -> XMLElement { XMLElement(name, in: EWSNames.messages, attributes, children: children, text: text) }

    private static func t(
        _ name: String, _ attributes: KeyValuePairs<String, String> = [:], _ children: [XMLElement] = [],
        text: String = ""
    ) -> XMLElement { XMLElement(name, in: EWSNames.types, attributes, children: children, text: text) }

    private static var inbox: XMLElement { t("DistinguishedFolderId", ["Id": "inbox"]) }

    /// A SOAP request.
    /// - Parameters:
    ///   - version: the schema it follows (`RequestServerVersion`).
    ///   - impersonated: the SMTP address in whose name the service account acts; nil: its own.
    static func envelope(_ operation: XMLElement, version: String, impersonated: String?) -> [UInt8] {
        var header = [t("RequestServerVersion", ["Version": version])]
        if let impersonated {
            let sid = t("ConnectingSID", [:], [t("PrimarySmtpAddress", text: impersonated)])
            header.append(t("ExchangeImpersonation", [:], [sid]))
        }
        return XMLElement(
            "Envelope", in: EWSNames.soap,
            children: [
                XMLElement("Header", in: EWSNames.soap, children: header),
                XMLElement("Body", in: EWSNames.soap, children: [operation]),
            ]
        ).document
    }

    /// A streaming subscription to the inbox (StreamingSubscriptionRequest).
    static var subscribe: XMLElement {
        let events = ["NewMailEvent", "CreatedEvent", "ModifiedEvent", "DeletedEvent", "MovedEvent"]
        return m(
            "Subscribe", [:],
            [
                m(
                    "StreamingSubscriptionRequest", [:],
                    [
                        t("FolderIds", [:], [inbox]), t("EventTypes", [:], events.map { t("EventType", text: $0) }),
                    ])
            ])
    }

    /// The answer that hangs, for at most 200 subscriptions.
    /// - Parameter minutes: 1 to 30.
    static func streamingEvents(_ subscriptions: [String], minutes: Int) -> XMLElement {
        m(
            "GetStreamingEvents", [:],
            [
                m("SubscriptionIds", [:], subscriptions.map { t("SubscriptionId", text: $0) }),
                m("ConnectionTimeout", text: "\(minutes)"),
            ])
    }

    /// A page of what changed since a sync state; without one, of all there is.
    /// - Parameter limit: 1 to 512.
    static func sync(after state: String?, limit: Int) -> XMLElement {
        var children = [
            m("ItemShape", [:], [t("BaseShape", text: "IdOnly")]), m("SyncFolderId", [:], [inbox]),
        ]
        if let state { children.append(m("SyncState", text: state)) }
        children.append(m("MaxChangesReturned", text: "\(limit)"))
        return m("SyncFolderItems", [:], children)
    }

    /// What a notification needs of messages: at most `itemsPerRequest`.
    static func items(_ ids: [String]) -> XMLElement {
        let fields = [
            "item:Subject", "item:DateTimeReceived", "message:From", "message:IsRead", "message:InternetMessageId",
        ]
        let shape = [
            t("BaseShape", text: "IdOnly"),
            t("AdditionalProperties", [:], fields.map { t("FieldURI", ["FieldURI": $0]) }),
        ]
        return m(
            "GetItem", [:], [m("ItemShape", [:], shape), m("ItemIds", [:], ids.map { t("ItemId", ["Id": $0]) })])
    }
}
