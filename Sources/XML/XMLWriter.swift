extension String {
    /// The text for use between tags and in attributes, whichever their quotes. Characters that XML 1.0 cannot hold
    /// (section 2.2), such as NUL, are left out. Line ends and tabs survive, also in attributes.
    package var xmlEscaped: String {
        var text = ""
        text.reserveCapacity(utf8.count)
        for scalar in unicodeScalars {
            switch scalar {
            case "&": text += "&amp;"
            case "<": text += "&lt;"
            case ">": text += "&gt;"
            case "\"": text += "&quot;"
            case "'": text += "&apos;"
            case "\t", "\n", "\r": text += "&#\(scalar.value);"
            default: if scalar.isXMLCharacter { text.unicodeScalars.append(scalar) }
            }
        }
        return text
    }

    /// The same for text between tags, where line feeds, tabs and quotes may stand as they are.
    fileprivate var xmlEscapedText: String {
        var text = ""
        text.reserveCapacity(utf8.count)
        for scalar in unicodeScalars {
            switch scalar {
            case "&": text += "&amp;"
            case "<": text += "&lt;"
            case ">": text += "&gt;"
            case "\r": text += "&#13;"
            case "\t", "\n": text.unicodeScalars.append(scalar)
            default: if scalar.isXMLCharacter { text.unicodeScalars.append(scalar) }
            }
        }
        return text
    }
}

extension Unicode.Scalar {
    /// Whether an XML 1.0 document can hold it (section 2.2). Surrogates are no scalars at all.
    fileprivate var isXMLCharacter: Bool {
        value >= 0x20 || value == 0x09 || value == 0x0A || value == 0x0D ? value & 0xFFFE != 0xFFFE : false
    }
}

extension XMLElement {
    /// The element as text, without a declaration.
    /// - Parameter inherited: the default namespace of the place it is written to, such as a stream's
    ///   `jabber:client`.
    ///
    /// Names are written as they are: they must come from our code or from a reader.
    package func xml(inheriting inherited: String = "") -> String {
        var text = ""
        write(to: &text, inheriting: inherited)
        return text
    }

    /// The element as a document in UTF-8, with a declaration.
    package var document: [UInt8] { Array(("<?xml version=\"1.0\" encoding=\"utf-8\"?>" + xml()).utf8) }

    private func write(to text: inout String, inheriting inherited: String) {
        text += "<\(name.local)"
        if name.namespace != inherited { text += " xmlns=\"\(name.namespace.xmlEscaped)\"" }
        for (index, attribute) in attributes.enumerated() {
            var prefix = ""
            switch attribute.name.namespace {
            case "": break
            case XMLName.xmlNamespace: prefix = "xml:"
            case let namespace:
                prefix = "n\(index):"
                text += " xmlns:n\(index)=\"\(namespace.xmlEscaped)\""
            }
            text += " \(prefix)\(attribute.name.local)=\"\(attribute.value.xmlEscaped)\""
        }
        guard !nodes.isEmpty else {
            text += "/>"
            return
        }
        text += ">"
        for node in nodes {
            switch node {
            case .element(let child): child.write(to: &text, inheriting: name.namespace)
            case .text(let own): text += own.xmlEscapedText
            }
        }
        text += "</\(name.local)>"
    }
}
