/// The name of an element or attribute with the namespace it is in (XML Namespaces 1.0). Prefixes are gone.
package struct XMLName: Sendable, Hashable {
    /// The namespace's URI; empty for none.
    package let namespace: String
    /// The name without its prefix.
    package let local: String

    package init(_ local: String, in namespace: String = "") { (self.local, self.namespace) = (local, namespace) }

    /// That of `xml:lang` and `xml:base`.
    package static let xmlNamespace = "http://www.w3.org/XML/1998/namespace"
}

/// One attribute of an element, its value with all references resolved.
package struct XMLAttribute: Sendable, Hashable {
    /// Without namespace unless it was written with a prefix.
    package let name: XMLName
    /// The value, normalised as XML 1.0 section 3.3.3 says.
    package let value: String

    package init(_ name: XMLName, _ value: String) { (self.name, self.value) = (name, value) }
}

/// What `XMLReader` reports. Comments, processing instructions and the declaration are not reported.
package enum XMLEvent: Sendable, Hashable {
    /// A start tag.
    case start(XMLName, [XMLAttribute])
    /// Character data. Neighbours are joined within a push; two may still follow each other.
    case text(String)
    /// An end tag.
    case end(XMLName)
}
