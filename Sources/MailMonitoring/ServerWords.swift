/// What servers say, for people.
package enum ServerWords {
    /// A server's words for people: without control characters, at most 200 characters.
    package static func clean(_ text: String) -> String {
        let printable = text.unicodeScalars.filter { scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse: false
            default: true
            }
        }
        return String(String(String.UnicodeScalarView(printable)).prefix(200))
    }
}
