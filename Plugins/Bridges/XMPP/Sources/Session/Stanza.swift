internal import XML
internal import XMPPTools

/// The stanzas we send, in the namespace of a component's stream.
enum Stanza {
    static let namespace = XMPPNamespace.component

    /// A stanza error (RFC 6120 section 8.3).
    struct Fault: Sendable, Hashable {
        let type: String
        let condition: String
        var text: String?

        /// What everybody hears who is not to know more: whether the address is not known, not linked or not allowed.
        static let unavailable = Fault(type: "cancel", condition: "service-unavailable")
        static let tooLong = Fault(
            type: "modify", condition: "policy-violation", text: "The message is longer than is taken here.")
        static let tooMany = Fault(
            type: "wait", condition: "resource-constraint", text: "Too many messages; try again in a moment.")
        static let notNow = Fault(type: "wait", condition: "internal-server-error")
        static let encrypted = Fault(
            type: "modify", condition: "not-acceptable",
            text: "Encrypted messages cannot be read here. Turn encryption off for this contact.")
        static let undelivered = Fault(
            type: "wait", condition: "recipient-unavailable", text: "The message did not reach anybody in its time.")
    }

    static func element(
        _ local: String, in space: String, _ attributes: KeyValuePairs<String, String> = [:]
    )
        -> XMLElement
    {
        XMLElement(local, in: space, attributes)
    }

    static func make(
        _ kind: String, from: JID, to: JID, type: String? = nil, id: String? = nil, _ children: [XMLElement] = []
    ) -> XMLElement {
        var attributes = [("from", from.text), ("to", to.text)]
        if let type { attributes.append(("type", type)) }
        if let id { attributes.append(("id", id)) }
        return XMLElement(
            XMLName(kind, in: namespace), attributes.map { XMLAttribute(XMLName($0.0), $0.1) },
            nodes: children.map { .element($0) })
    }

    static func text(_ local: String, _ text: String) -> XMLElement { XMLElement(local, in: namespace, text: text) }

    static func presence(from: JID, to: JID, type: String? = nil) -> XMLElement {
        make("presence", from: from, to: to, type: type)
    }

    /// The answer to a stanza that is not taken; without its content.
    static func error(_ kind: String, from: JID, to: JID, id: String?, _ fault: Fault) -> XMLElement {
        var children = [XMLElement(fault.condition, in: XMPPNamespace.stanzaErrors)]
        if let text = fault.text { children.append(XMLElement("text", in: XMPPNamespace.stanzaErrors, text: text)) }
        return make(
            kind, from: from, to: to, type: "error", id: id,
            [XMLElement("error", in: namespace, ["type": fault.type], children: children)])
    }

    /// The beginning of the stream (XEP-0114 section 3); `to` names the component.
    static func open(_ component: String) -> String {
        "<?xml version='1.0'?><stream:stream xmlns='\(namespace)' xmlns:stream='\(XMPPNamespace.stream)' "
            + "to='\(component.xmlEscaped)'>"
    }
    static let close = "</stream:stream>"
}
