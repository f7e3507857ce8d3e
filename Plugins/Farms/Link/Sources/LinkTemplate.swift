internal import Base
internal import Gateway

/// Why a text is no template of a launch URL: what to tell the operator.
struct LinkTemplateError: Error {
    let message: String
}

/// A launch URL with placeholders. Values are percent-encoded for a URL component, so that none can
/// leave its place; only `{app}`, which the operator chose, may stand in the host.
struct LinkTemplate: Sendable, Hashable {
    enum Placeholder: String, Sendable, CaseIterable {
        /// The app's id in the configuration.
        case app
        /// The single-use ticket that redeems the launch.
        case launch
        /// The account's name.
        case account
        /// The message that was tapped; empty for a launch without one.
        case message
        /// The item's key in its mailbox or room; empty for a launch without one.
        case item
    }

    private enum Part: Sendable, Hashable {
        case text(String)
        case value(Placeholder)
    }

    /// Schemes every farm may use.
    static let webSchemes = ["https", "http"]
    /// Schemes that make a browser run code, read files or show a page of the sender's making.
    private static let refusedSchemes: Set<String> = [
        "javascript", "vbscript", "data", "file", "blob", "about", "view-source", "filesystem", "jar",
    ]

    private let parts: [Part]
    /// Scheme and authority, still as a template, such as `https://apps.example`.
    let origin: String

    /// - Parameter schemes: those allowed, in lower case.
    init(_ text: String, schemes: [String]) throws(LinkTemplateError) {
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x3C && $0 != 0x3E && $0 != 0x5C })
        else {
            throw LinkTemplateError(message: "a URL has no spaces, quotes, backslashes or letters beyond ASCII")
        }
        guard let colon = text.firstIndex(of: ":") else {
            throw LinkTemplateError(message: "expected a URL such as https://apps.example/{app}?ticket={launch}")
        }
        let scheme = text[..<colon].lowercased()
        guard schemes.contains(scheme) else {
            let cure = Self.isAllowable(scheme: scheme) ? "; add it to 'schemes' of the farm to allow it" : ""
            throw LinkTemplateError(
                message: "the scheme '\(scheme)' is not one of \(schemes.joined(separator: ", "))\(cure)")
        }
        let rest = text[text.index(after: colon)...]
        let authority = rest.hasPrefix("//") ? rest.dropFirst(2).prefix { $0 != "/" && $0 != "?" && $0 != "#" } : ""
        if Self.webSchemes.contains(scheme) {
            guard !authority.isEmpty else { throw LinkTemplateError(message: "the URL has no host") }
            guard !authority.contains("@") else {
                throw LinkTemplateError(message: "a URL here must not contain a user name or password")
            }
        }
        let host = try Self.parse(authority)
        guard host.allSatisfy({ if case .value(let value) = $0 { value == .app } else { true } }) else {
            throw LinkTemplateError(message: "of the placeholders only {app} may stand in the host")
        }
        parts = try Self.parse(text[...])
        origin = rest.hasPrefix("//") ? "\(text[...colon])//\(authority)" : "\(text[...colon])"
    }

    /// Whether an operator may allow a scheme: a well-formed name (RFC 3986 section 3.1) that runs nothing.
    static func isAllowable(scheme: String) -> Bool {
        guard let first = scheme.utf8.first, (0x61...0x7A).contains(first), !refusedSchemes.contains(scheme) else {
            return false
        }
        return scheme.utf8.allSatisfy {
            (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2B || $0 == 0x2D || $0 == 0x2E
        }
    }

    private static func parse(_ text: Substring) throws(LinkTemplateError) -> [Part] {
        var parts: [Part] = []
        var rest = text
        while let open = rest.firstIndex(where: { $0 == "{" || $0 == "}" }) {
            guard rest[open] == "{", let close = rest[open...].firstIndex(of: "}") else {
                throw LinkTemplateError(message: "a '{' or '}' stands alone; as text it is written %7B or %7D")
            }
            if open > rest.startIndex { parts.append(.text(String(rest[..<open]))) }
            let name = String(rest[rest.index(after: open)..<close])
            guard let placeholder = Placeholder(rawValue: name) else {
                let names = Placeholder.allCases.map(\.rawValue)
                throw LinkTemplateError(
                    message: "the placeholder {\(name)} is not one of "
                        + names.map { "{\($0)}" }.joined(separator: " ") + Suggestion.text(for: name, among: names))
            }
            parts.append(.value(placeholder))
            rest = rest[rest.index(after: close)...]
        }
        if !rest.isEmpty { parts.append(.text(String(rest))) }
        return parts
    }

    /// The URL of one launch.
    func filled(for request: LaunchRequest) -> String {
        parts.map { part in
            switch part {
            case .text(let text): text
            case .value(.app): request.app.text.percentEncoded()
            case .value(.launch): request.ticket.exposed.percentEncoded()
            case .value(.account): request.account.text.percentEncoded()
            case .value(.message): request.message?.description.percentEncoded() ?? ""
            case .value(.item): request.item?.percentEncoded() ?? ""
            }
        }.joined()
    }
}
