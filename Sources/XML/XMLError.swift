/// Why a text is not taken as XML. Never holds a part of the text.
package struct XMLError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kinds of faults that callers tell apart.
    package enum Code: String, Sendable, Hashable {
        /// Not well-formed, or in bytes that are not of its character set.
        case malformed
        /// It ended before its root element did.
        case unfinished
        /// It has a document type declaration. Entities and their expansion come with one; so none is read.
        case doctypeRefused = "doctype_refused"
        /// Elements stand deeper in one another than `XMLLimits.depth`.
        case tooDeep = "too_deep"
        /// An element has more attributes than `XMLLimits.attributes`.
        case tooManyAttributes = "too_many_attributes"
        /// A name with its namespace is longer than `XMLLimits.nameBytes`.
        case nameTooLong = "name_too_long"
        /// More different names than `XMLLimits.names`.
        case tooManyNames = "too_many_names"
        /// The unit, or one token of it, is longer than `XMLLimits.unitBytes`.
        case tooLong = "too_long"
        /// The unit has more elements and texts than `XMLLimits.nodes`.
        case tooManyNodes = "too_many_nodes"
        /// The whole is longer than `XMLLimits.totalBytes`.
        case documentTooLong = "document_too_long"
        /// The character set is not known, or cannot be read by expat.
        case unknownEncoding = "unknown_encoding"
        /// The reader refused something before: it takes no more.
        case stopped
        /// The library failed for a reason of its own, such as memory.
        case libraryFailure = "library_failure"
    }

    /// Which kind of fault it is.
    package let code: Code
    /// A sentence for people: expat's for a malformed text, ours for a limit.
    package let message: String
    /// Line and column from 1, and the byte from 0, where it was seen; nil when no place is to blame.
    package let position: Position?

    /// A place in what was pushed.
    package struct Position: Sendable, Hashable {
        /// From 1.
        package let line: Int
        /// From 1, in bytes of the line.
        package let column: Int
        /// From 0.
        package let byte: Int
    }

    init(_ code: Code, _ message: String, at position: Position? = nil) {
        (self.code, self.message, self.position) = (code, message, position)
    }

    /// Message, code and place in one line.
    package var description: String {
        let place = position.map { " at line \($0.line), column \($0.column) (byte \($0.byte))" } ?? ""
        return "\(message) [\(code.rawValue)]\(place)"
    }
}
