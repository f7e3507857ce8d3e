/// What a stream of elements reports.
package enum XMLStreamItem: Sendable, Hashable {
    /// The root's start tag: an element without content.
    case opened(XMLElement)
    /// A child of the root, complete.
    case child(XMLElement)
    /// The root's end tag.
    case closed
}

/// Reads a document whose root stays open while its children arrive one by one, as XMPP's streams do. Text between
/// the children (keep-alive spaces) is dropped. Confined to one task.
package final class XMLStream {
    private let reader: XMLReader
    private var builder: XMLTreeBuilder
    private var isOpen = false

    /// - Parameters:
    ///   - limits: those of `XMLLimits.stream`, usually. A child that passes them ends the stream.
    ///   - bounds: what of a child is kept; the rest of it is left out, and the stream goes on.
    package init(limits: XMLLimits = .stream(), keeping bounds: XMLTreeBuilder.Bounds? = nil) throws(XMLError) {
        reader = try XMLReader(limits: limits)
        builder = XMLTreeBuilder(keeping: bounds)
    }

    /// Takes the next bytes, cut anywhere, and returns what they complete. See `XMLReader.push`.
    package func push(_ bytes: some Sequence<UInt8>) throws(XMLError) -> [XMLStreamItem] {
        var items: [XMLStreamItem] = []
        for event in try reader.push(bytes) {
            switch event {
            case .start(let name, let attributes) where !isOpen:
                isOpen = true
                items.append(.opened(XMLElement(name, attributes)))
            case .end where builder.isEmpty: items.append(.closed)
            default: if let child = builder.take(event) { items.append(.child(child)) }
            }
        }
        return items
    }
}

/// Reads documents that follow one another without anything between them, as Exchange's streaming notifications do
/// within one answer. Confined to one task.
package final class XMLDocuments {
    private let limits: XMLLimits
    private let encoding: String?
    private var reader: XMLReader?
    private var builder = XMLTreeBuilder()

    /// - Parameters:
    ///   - limits: those of each document.
    ///   - encoding: the character set that the transport named, if it did.
    package init(limits: XMLLimits = .document(), encoding: String? = nil) {
        (self.limits, self.encoding) = (limits, encoding)
    }

    /// Takes the next bytes, cut anywhere, and returns the roots of the documents that they complete.
    package func push(_ bytes: some Sequence<UInt8>) throws(XMLError) -> [XMLElement] {
        var roots: [XMLElement] = []
        var rest = Array(bytes)[...]
        while true {
            // Space may stand behind a document, but not in front of a declaration.
            if reader == nil { rest = rest.drop { [0x20, 0x09, 0x0A, 0x0D].contains($0) } }
            guard !rest.isEmpty else { return roots }
            let (events, used) = try current().push(rest)
            rest = rest.dropFirst(used)
            for event in events {
                guard let root = builder.take(event) else { continue }
                roots.append(root)
                reader = nil
            }
        }
    }

    private func current() throws(XMLError) -> XMLReader {
        if let reader { return reader }
        let new = try XMLReader(limits: limits, encoding: encoding, stopsAfterRoot: true)
        reader = new
        return new
    }

    /// Whether a document has begun and not ended: an end of the bytes now is a fault.
    package var isInDocument: Bool { reader != nil }
}
