/// What a reader takes from a peer that is not trusted. Each is a fault of its own when it is passed.
package struct XMLLimits: Sendable, Hashable {
    /// To what `unitBytes` and `nodes` apply.
    package enum Unit: Sendable, Hashable {
        /// To the root element: a feed, a SOAP answer.
        case document
        /// To each child of the root: a stanza of a stream that does not end.
        case child
    }

    /// What is counted as one piece.
    package var unit: Unit
    /// Bytes of a unit.
    package var unitBytes: Int
    /// Bytes of a single token: a tag with its attributes, a comment; text is not one. The reader looks at all of an
    /// unfinished token each time that bytes come, so one that comes byte by byte takes quadratic time.
    package var tokenBytes: Int
    /// Elements and texts of a unit: a tree takes some 200 bytes of memory for each.
    package var nodes: Int
    /// Elements within one another, the root counted.
    package var depth: Int
    /// Attributes of an element.
    package var attributes: Int
    /// Bytes of an element's or attribute's name together with its namespace.
    package var nameBytes = 1024
    /// Different names that are taken in all: expat keeps each as long as the reader lives.
    package var names = 4096
    /// Bytes in all, nil without end.
    package var totalBytes: Int?

    /// A document that is read whole, such as an answer over HTTP: at most `bytes` long.
    package static func document(bytes: Int = 8 << 20) -> XMLLimits {
        XMLLimits(
            unit: .document, unitBytes: bytes, tokenBytes: 256 << 10, nodes: 200_000, depth: 64, attributes: 128,
            totalBytes: bytes)
    }

    /// A stream whose root has children without end, such as XMPP's: each at most `childBytes` long.
    package static func stream(childBytes: Int = 256 << 10) -> XMLLimits {
        XMLLimits(
            unit: .child, unitBytes: childBytes, tokenBytes: 64 << 10, nodes: 4096, depth: 32, attributes: 64,
            totalBytes: nil)
    }
}
