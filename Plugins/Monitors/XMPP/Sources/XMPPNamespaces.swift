/// The namespaces that are spoken, with where they are from.
enum XMPPNamespace {
    /// RFC 6120.
    static let stream = "http://etherx.jabber.org/streams"
    static let streamErrors = "urn:ietf:params:xml:ns:xmpp-streams"
    static let stanzaErrors = "urn:ietf:params:xml:ns:xmpp-stanzas"
    static let sasl = "urn:ietf:params:xml:ns:xmpp-sasl"
    static let bind = "urn:ietf:params:xml:ns:xmpp-bind"
    static let client = "jabber:client"
    /// XEP-0199.
    static let ping = "urn:xmpp:ping"
    /// XEP-0280.
    static let carbons = "urn:xmpp:carbons:2"
    /// XEP-0297.
    static let forward = "urn:xmpp:forward:0"
    /// XEP-0313.
    static let archive = "urn:xmpp:mam:2"
    /// XEP-0059.
    static let resultSet = "http://jabber.org/protocol/rsm"
    /// XEP-0004.
    static let dataForm = "jabber:x:data"
    /// XEP-0203.
    static let delay = "urn:xmpp:delay"
    /// XEP-0333.
    static let markers = "urn:xmpp:chat-markers:0"
    /// XEP-0424, its current version and the one before, which stands in XEP-0422's wrapper.
    static let retract = "urn:xmpp:message-retract:1"
    static let oldRetract = "urn:xmpp:message-retract:0"
    static let fasten = "urn:xmpp:fasten:0"
    /// XEP-0308.
    static let correct = "urn:xmpp:message-correct:0"
    /// OMEMO (XEP-0384, as deployed and current), OpenPGP (XEP-0373, XEP-0027) and the mark of XEP-0380.
    static let encryption = [
        ("encrypted", "eu.siacs.conversations.axolotl"), ("encrypted", "urn:xmpp:omemo:2"),
        ("openpgp", "urn:xmpp:openpgp:0"), ("x", "jabber:x:encrypted"), ("encryption", "urn:xmpp:eme:0"),
    ]
}
