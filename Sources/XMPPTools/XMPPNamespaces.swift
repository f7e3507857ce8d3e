/// The namespaces that are spoken, with where they are from.
package enum XMPPNamespace {
    /// RFC 6120.
    package static let stream = "http://etherx.jabber.org/streams"
    package static let streamErrors = "urn:ietf:params:xml:ns:xmpp-streams"
    package static let stanzaErrors = "urn:ietf:params:xml:ns:xmpp-stanzas"
    package static let sasl = "urn:ietf:params:xml:ns:xmpp-sasl"
    package static let bind = "urn:ietf:params:xml:ns:xmpp-bind"
    package static let client = "jabber:client"
    /// XEP-0199.
    package static let ping = "urn:xmpp:ping"
    /// XEP-0280.
    package static let carbons = "urn:xmpp:carbons:2"
    /// XEP-0297.
    package static let forward = "urn:xmpp:forward:0"
    /// XEP-0313.
    package static let archive = "urn:xmpp:mam:2"
    /// XEP-0059.
    package static let resultSet = "http://jabber.org/protocol/rsm"
    /// XEP-0004.
    package static let dataForm = "jabber:x:data"
    /// XEP-0203.
    package static let delay = "urn:xmpp:delay"
    /// XEP-0333.
    package static let markers = "urn:xmpp:chat-markers:0"
    /// XEP-0424, its current version and the one before, which stands in XEP-0422's wrapper.
    package static let retract = "urn:xmpp:message-retract:1"
    package static let oldRetract = "urn:xmpp:message-retract:0"
    package static let fasten = "urn:xmpp:fasten:0"
    /// XEP-0308.
    package static let correct = "urn:xmpp:message-correct:0"
    /// XEP-0114.
    package static let component = "jabber:component:accept"
    /// XEP-0030.
    package static let discoInfo = "http://jabber.org/protocol/disco#info"
    package static let discoItems = "http://jabber.org/protocol/disco#items"
    /// XEP-0085.
    package static let chatStates = "http://jabber.org/protocol/chatstates"
    /// XEP-0184.
    package static let receipts = "urn:xmpp:receipts"
    /// XEP-0334.
    package static let hints = "urn:xmpp:hints"
    /// XEP-0359.
    package static let stanzaIDs = "urn:xmpp:sid:0"
    /// XEP-0461.
    package static let reply = "urn:xmpp:reply:0"
    /// OMEMO (XEP-0384, as deployed and current), OpenPGP (XEP-0373, XEP-0027) and the mark of XEP-0380.
    package static let encryption = [
        ("encrypted", "eu.siacs.conversations.axolotl"), ("encrypted", "urn:xmpp:omemo:2"),
        ("openpgp", "urn:xmpp:openpgp:0"), ("x", "jabber:x:encrypted"), ("encryption", "urn:xmpp:eme:0"),
    ]
}
