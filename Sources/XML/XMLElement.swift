/// An element with all that is in it: a SOAP answer, a feed, a stanza. A value; how deep it goes and how much it
/// holds was bounded by the reader.
package struct XMLElement: Sendable, Hashable {
    /// What an element holds, in its order.
    package enum Node: Sendable, Hashable {
        /// An element in it.
        case element(XMLElement)
        /// Text in it, never empty; no two texts follow each other when it was read.
        case text(String)
    }

    /// Its name and namespace.
    package var name: XMLName
    /// In the order of the text. No two have the same name.
    package var attributes: [XMLAttribute]
    /// What it holds.
    package var nodes: [Node]

    package init(_ name: XMLName, _ attributes: [XMLAttribute] = [], nodes: [Node] = []) {
        (self.name, self.attributes, self.nodes) = (name, attributes, nodes)
    }

    /// An element to be written: attributes without namespace, children, and text behind them.
    package init(
        _ local: String, in namespace: String, _ attributes: KeyValuePairs<String, String> = [:],
        children: [XMLElement] = [], text: String = ""
    ) {
        self.init(
            XMLName(local, in: namespace), attributes.map { XMLAttribute(XMLName($0.key), $0.value) },
            nodes: children.map(Node.element) + (text.isEmpty ? [] : [.text(text)]))
    }

    /// Reads one whole document.
    /// - Parameter encoding: the character set that the transport named, if it did.
    package init(
        parsing bytes: some Sequence<UInt8>, limits: XMLLimits = .document(), encoding: String? = nil
    ) throws(XMLError) {
        let reader = try XMLReader(limits: limits, encoding: encoding)
        var builder = XMLTreeBuilder()
        var root: XMLElement?
        for event in try reader.push(bytes) + reader.finish() { root = builder.take(event) ?? root }
        guard let root else { throw XMLError(.unfinished, XMLError.Code.unfinished.sentence) }
        self = root
    }

    /// Whether it has this name.
    package func isNamed(_ local: String, in namespace: String) -> Bool {
        name.local == local && name.namespace == namespace
    }

    // MARK: Attributes

    /// The value of an attribute, which without a namespace is the usual one.
    package func attribute(_ local: String, in namespace: String = "") -> String? {
        attributes.first { $0.name.local == local && $0.name.namespace == namespace }?.value
    }

    // MARK: Children

    /// The elements directly in it.
    package var children: [XMLElement] {
        nodes.compactMap { if case .element(let child) = $0 { child } else { nil } }
    }

    /// Its first child of a name in a namespace; in its own when none is given.
    package func child(_ local: String, in namespace: String? = nil) -> XMLElement? {
        let namespace = namespace ?? name.namespace
        for case .element(let child) in nodes where child.isNamed(local, in: namespace) { return child }
        return nil
    }

    /// Its children of a name in a namespace; in its own when none is given.
    package func children(_ local: String, in namespace: String? = nil) -> [XMLElement] {
        let namespace = namespace ?? name.namespace
        return children.filter { $0.isNamed(local, in: namespace) }
    }

    /// The first element of a name anywhere in it, itself not counted, in the order of the text.
    package func descendant(_ local: String, in namespace: String) -> XMLElement? {
        for case .element(let child) in nodes {
            if child.isNamed(local, in: namespace) { return child }
            if let found = child.descendant(local, in: namespace) { return found }
        }
        return nil
    }

    /// All elements of a name anywhere in it, itself not counted, in the order of the text.
    package func descendants(_ local: String, in namespace: String) -> [XMLElement] {
        var found: [XMLElement] = []
        collect(local, namespace, into: &found)
        return found
    }

    private func collect(_ local: String, _ namespace: String, into found: inout [XMLElement]) {
        for case .element(let child) in nodes {
            if child.isNamed(local, in: namespace) { found.append(child) }
            child.collect(local, namespace, into: &found)
        }
    }

    // MARK: Text

    /// The text directly in it.
    package var text: String {
        nodes.reduce(into: "") { if case .text(let text) = $1 { $0 += text } }
    }

    /// The text in it and in all elements in it, in its order.
    package var allText: String {
        var text = ""
        addText(to: &text)
        return text
    }

    private func addText(to text: inout String) {
        for node in nodes {
            switch node {
            case .element(let child): child.addText(to: &text)
            case .text(let own): text += own
            }
        }
    }

    /// The text directly in the first child of a name; nil when there is no such child.
    package func text(of local: String, in namespace: String? = nil) -> String? {
        child(local, in: namespace)?.text
    }
}
