internal import Base

/// The phrases that Farbell itself says in notifications, by language. English and Chinese are built in;
/// `notify.templates` replaces phrases and adds languages.
package struct NotifyTemplates: Sendable, Hashable {
    /// A phrase, by its key in the configuration.
    package enum Phrase: String, Sendable, CaseIterable {
        /// All that a `hint` says.
        case hint
        /// The title of a digest about one message.
        case newFrom
        /// The title of a digest about one, or several, messages of an app.
        case one
        case many
        /// Who wrote, in a digest; and when there were more than it names.
        case from
        case andOthers
        /// Between senders.
        case separator
        /// An app's server refused the account's credentials.
        case refused
        /// What a test notification says.
        case test

        /// What may stand in braces.
        var placeholders: [String] {
            switch self {
            case .hint, .refused: ["app"]
            case .newFrom: ["app", "sender"]
            case .one, .many: ["app", "count"]
            case .from: ["senders"]
            case .andOthers: ["senders", "count"]
            case .separator, .test: []
            }
        }
    }

    /// Longest template, in bytes.
    static let limit = 500

    /// What is spoken where neither device nor account say otherwise.
    package private(set) var locale = "en"
    private var languages: [String: [Phrase: Template]] = builtIn
    /// What a language lacks is said in the configured one, and what that lacks in English.
    private var own: [[Phrase: Template]] = []

    /// The built-in ones.
    package init() { own = tables(locale) + tables("en") }

    /// Reads `notify.locale` and `notify.templates` on top of the built-in ones.
    init(_ reader: ConfigReader) {
        for (language, phrases) in reader.map("templates", Self.phrases) {
            languages[language.lowercased(), default: [:]].merge(phrases) { $1 }
        }
        defer { own = tables(locale) + tables("en") }
        guard let locale = reader.optionalString("locale") else { return }
        if LocaleTag.chain(locale).contains(where: { languages[$0] != nil }) {
            self.locale = locale
        } else {
            reader.report(
                "locale",
                "there are no templates for '\(locale.printable)'; there are for "
                    + languages.keys.sorted().joined(separator: ", "))
        }
    }

    private static func phrases(_ language: String, _ reader: ConfigReader) -> [Phrase: Template]? {
        if !LocaleTag.isTag(language) { reader.report(nil, "expected a language tag such as en or zh-CN") }
        var phrases: [Phrase: Template] = [:]
        for phrase in Phrase.allCases {
            guard let text = reader.optionalString(phrase.rawValue) else { continue }
            do throws(Template.Fault) {
                phrases[phrase] = try Template(text, placeholders: phrase.placeholders)
            } catch {
                reader.report(phrase.rawValue, error.message)
            }
        }
        return phrases
    }

    /// The words for whom these languages were asked for, the preferred one first: the first that there are words
    /// for, or for what it is a kind of (RFC 4647 section 3.4); else `locale`.
    package func words(_ wanted: [String?]) -> SummaryWords {
        for tag in wanted {
            guard let tag else { continue }
            let found = tables(tag)
            if !found.isEmpty { return SummaryWords(found + own) }
        }
        return SummaryWords(own)
    }

    /// The words of a language and of what it is a kind of.
    private func tables(_ tag: String) -> [[Phrase: Template]] { LocaleTag.chain(tag).compactMap { languages[$0] } }

    private static let builtIn: [String: [Phrase: Template]] = [
        "en": [
            .hint: "You have a message", .newFrom: "New message from {sender}",
            .one: "{app}: {count} new message", .many: "{app}: {count} new messages", .from: "{senders}",
            .andOthers: "{senders} and others", .separator: ", ",
            .refused: "The sign-in was refused. Update the password to go on receiving news.",
            .test: "This is a test notification",
        ],
        "zh": [
            .hint: "您有一条新消息", .newFrom: "来自{sender}的新消息", .many: "{app}：{count}条新消息", .from: "{senders}",
            .andOthers: "{senders}等", .separator: "、", .refused: "登录被拒绝。请更新密码，以便继续接收通知。",
            .test: "这是一条测试通知",
        ],
    ]
}

/// A phrase with places for what varies: `{name}`; `{{` and `}}` stand for braces.
struct Template: Sendable, Hashable {
    struct Fault: Error {
        let message: String
    }

    private enum Piece: Sendable, Hashable {
        case text(String)
        case place(String)
    }

    private var pieces: [Piece] = []

    /// - Throws: `Fault`, in a sentence for whoever wrote it.
    init(_ text: String, placeholders: [String]) throws(Fault) {
        guard text.utf8.count <= NotifyTemplates.limit else {
            throw Fault(message: "a template has at most \(NotifyTemplates.limit) bytes")
        }
        var rest = Substring(text)
        var plain = ""
        while let character = rest.popFirst() {
            guard character == "{" || character == "}" else {
                plain.append(character)
                continue
            }
            if rest.first == character {
                rest.removeFirst()
                plain.append(character)
                continue
            }
            guard character == "{", let end = rest.firstIndex(of: "}") else {
                throw Fault(message: "a brace stands alone; write {{ or }} for one that is shown")
            }
            let name = String(rest[..<end])
            guard placeholders.contains(name) else {
                let known = placeholders.isEmpty ? "none" : placeholders.map { "{\($0)}" }.joined(separator: ", ")
                throw Fault(
                    message: "unknown placeholder '{\(name.printable)}'; known here: \(known)"
                        + Suggestion.text(for: name, among: placeholders))
            }
            if !plain.isEmpty { pieces.append(.text(plain)) }
            plain = ""
            pieces.append(.place(name))
            rest = rest[rest.index(after: end)...]
        }
        if !plain.isEmpty { pieces.append(.text(plain)) }
    }

    func text(_ values: [String: String]) -> String {
        pieces.map { piece in
            switch piece {
            case .text(let text): text
            case .place(let name): values[name] ?? ""
            }
        }.joined()
    }
}

extension Template: ExpressibleByStringLiteral {
    /// One of ours: any placeholder goes, and a wrong one shows in the tests.
    init(stringLiteral text: String) {
        do {
            self = try Template(text, placeholders: ["app", "sender", "senders", "count"])
        } catch {
            preconditionFailure(error.message)
        }
    }
}

/// The phrases in one language.
package struct SummaryWords: Sendable {
    /// Where a phrase is looked for, in this order.
    private let tables: [[NotifyTemplates.Phrase: Template]]

    init(_ tables: [[NotifyTemplates.Phrase: Template]]) { self.tables = tables }

    private func text(_ phrase: NotifyTemplates.Phrase, _ values: [String: String] = [:]) -> String {
        tables.lazy.compactMap { $0[phrase] }.first?.text(values) ?? ""
    }

    package var test: String { text(.test) }
    func hint(_ app: String) -> String { text(.hint, ["app": app]) }
    package func refused(_ app: String) -> String { text(.refused, ["app": app]) }
    func newFrom(_ sender: String, _ app: String) -> String { text(.newFrom, ["sender": sender, "app": app]) }

    package func many(_ app: String, _ count: Int) -> String {
        let values = ["app": app, "count": "\(count)"]
        // A language that has no form of its own for one, has the same for all.
        guard count == 1, let table = tables.first(where: { $0[.one] != nil || $0[.many] != nil }) else {
            return text(.many, values)
        }
        return (table[.one] ?? table[.many])?.text(values) ?? ""
    }

    func from(_ senders: [String]) -> String {
        let named = senders.prefix(3).joined(separator: text(.separator))
        guard senders.count > 3 else { return text(.from, ["senders": named]) }
        return text(.andOthers, ["senders": named, "count": "\(senders.count - 3)"])
    }
}
