/// URLs and secrets in a configuration.
extension ConfigReader {
    /// A URL with one of the schemes and a host; the text is returned without a trailing slash. A user
    /// name or password in it is refused: the URL is logged, and secrets have a place of their own.
    package func url(_ key: String, schemes: [String], default fallback: String? = nil) -> String {
        let text = string(key, default: fallback)
        if has(key), !text.isEmpty, let fault = Self.fault(ofURL: text, schemes: schemes) { report(key, fault) }
        return text.hasSuffix("/") ? String(text.dropLast()) : text
    }

    /// A URL (optional).
    package func optionalURL(_ key: String, schemes: [String]) -> String? {
        guard let text = optionalString(key) else { return nil }
        return text.isEmpty ? nonEmpty(key, text) : url(key, schemes: schemes)
    }

    /// A list of host names or addresses without a port, in lower case; absent means none.
    package func hosts(_ key: String) -> [String] {
        let hosts = strings(key).map { $0.lowercased() }
        for host in hosts where (try? WebAddress("https://\(host)"))?.host != host {
            report(key, "'\(host)' is not a host name or address without a port")
        }
        return hosts
    }

    /// What is wrong with a URL; never shows the URL, which may hold a password.
    private static func fault(ofURL text: String, schemes: [String]) -> String? {
        let example = "expected a URL such as \(schemes.first ?? "https")://host"
        guard let colon = text.range(ofFirst: "://"), text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
            return example
        }
        let scheme = text[..<colon.lowerBound]
        guard schemes.contains(scheme.lowercased()) else {
            return "the scheme is not one of \(schemes.joined(separator: ", "))"
        }
        let authority = text[colon.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        if authority.contains("@") { return "a URL here must not contain a user name or password" }
        // What is in brackets is an IPv6 address; a port follows the last colon behind it.
        let afterAddress = authority.lastIndex(of: "]").map { authority[authority.index(after: $0)...] } ?? authority
        guard let portMark = afterAddress.firstIndex(of: ":") else { return authority.isEmpty ? example : nil }
        if portMark == authority.startIndex { return example }
        guard let port = UInt16(afterAddress[afterAddress.index(after: portMark)...]), port > 0 else {
            return "the port is not a number from 1 to 65535"
        }
        return nil
    }

    /// A secret: `{"file":"…"}` or `{"env":"…"}`, never the value itself. Final line ends of a file
    /// are not part of the secret. No message repeats what was written here: a value put in the wrong
    /// place must not reach a terminal or a log.
    package func secret(_ key: String) -> Secret { required(key, optionalSecret(key), Secret("")) }

    /// A secret (optional).
    package func optionalSecret(_ key: String) -> Secret? {
        guard let value = value(key) else { return nil }
        guard let object = value.object else {
            report(key, "a secret is given as {\"file\":\"…\"} or {\"env\":\"…\"}, never as the value itself")
            return Secret("")
        }
        guard object.members.count == 1, let source = object.members.first?.key, source == "file" || source == "env"
        else {
            report(key, "a secret has exactly one key, 'file' or 'env'")
            return Secret("")
        }
        let reader = ConfigReader(document: document, path: path(of: key), json: value)
        let text = reader.string(source)
        if text.isEmpty { return Secret("") }
        return source == "file" ? reader.secretFile(document.resolve(text)) : reader.secretVariable(text)
    }

    private func secretFile(_ path: String) -> Secret {
        guard var bytes = FileSystem.contents(of: path, limit: 1 << 20) else {
            let reason = FileSystem.lastError
            report("file", "cannot read this file (relative paths start at '\(document.folder)'): \(reason)")
            return Secret("")
        }
        while bytes.last == 0x0A || bytes.last == 0x0D { bytes.removeLast() }
        if bytes.isEmpty { report("file", "this file is empty") }
        return Secret(bytes: bytes)
    }

    private func secretVariable(_ name: String) -> Secret {
        guard let text = document.environmentValue(name), !text.isEmpty else {
            report("env", "no environment variable of this name is set")
            return Secret("")
        }
        return Secret(text)
    }
}

extension String {
    /// Where another text first stands in this one.
    fileprivate func range(ofFirst other: String) -> Range<String.Index>? {
        indices.lazy.compactMap { start in
            self[start...].hasPrefix(other) ? start..<self.index(start, offsetBy: other.count) : nil
        }.first
    }
}
