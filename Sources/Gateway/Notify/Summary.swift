internal import Base

/// What a summary is made of; kept in memory only until the message is announced.
package struct SummaryContent: Sendable, Hashable {
    package let appName: String
    package let policy: NotifyPreferences.Summary
    package let sender: String?
    package let subject: String?
    package let preview: String?
    package let locale: String?

    package init(
        appName: String, policy: NotifyPreferences.Summary, sender: String?, subject: String?, preview: String?,
        locale: String?
    ) {
        (self.appName, self.policy, self.sender) = (appName, policy, sender)
        (self.subject, self.preview, self.locale) = (subject, preview, locale)
    }
}

/// The words of a notification (SG-10).
package struct SummaryText: Sendable, Hashable {
    package let title: String
    package let body: String?

    /// Longest title and body, in UTF-8 bytes; adapters cut further to what their service takes.
    package static let titleLimit = 256
    package static let bodyLimit = 2048

    /// For one message, or a digest of a burst; the newest last.
    /// - Parameter deviceLocale: the device's language, which goes before the account's.
    package init(
        _ contents: [SummaryContent], _ templates: NotifyTemplates = NotifyTemplates(), deviceLocale: String? = nil
    ) {
        guard let newest = contents.last else {
            (title, body) = ("", nil)
            return
        }
        let words = templates.words([deviceLocale, newest.locale])
        if contents.count > 1 {
            title = words.many(newest.appName, contents.count).cut(to: Self.titleLimit)
            let senders = contents.reversed().compactMap(\.sender).uniqued()
            body = newest.policy == .hint || senders.isEmpty ? nil : words.from(senders).cut(to: Self.bodyLimit)
            return
        }
        switch newest.policy {
        case .hint:
            title = newest.appName.cut(to: Self.titleLimit)
            body = words.hint(newest.appName)
        case .digest:
            title = (newest.sender.map { words.newFrom($0, newest.appName) } ?? newest.appName).cut(to: Self.titleLimit)
            body = newest.subject?.cut(to: Self.bodyLimit) ?? words.hint(newest.appName)
        case .full:
            title = (newest.sender ?? newest.appName).cut(to: Self.titleLimit)
            let text = [newest.subject, newest.preview].compactMap { $0 }.filter { !$0.isEmpty }.joined(separator: "\n")
            body = text.isEmpty ? words.hint(newest.appName) : text.cut(to: Self.bodyLimit)
        }
    }
}

extension String {
    /// The longest beginning of whole characters that fits into so many UTF-8 bytes, an ellipsis included
    /// where something was cut off.
    package func cut(to limit: Int) -> String {
        guard utf8.count > limit else { return self }
        let ellipsis = "…"
        var result = ""
        var room = limit - ellipsis.utf8.count
        for character in self {
            room -= character.utf8.count
            if room < 0 { break }
            result.append(character)
        }
        return limit >= ellipsis.utf8.count ? result + ellipsis : ""
    }
}

extension Sequence<String> {
    fileprivate func uniqued() -> [String] {
        var seen: Set<String> = []
        return filter { seen.insert($0).inserted }
    }
}
