/// What `XMLReader` knows between two calls of expat's: where it is, what it has seen, and what it refuses.
struct ReaderState {
    let limits: XMLLimits
    let stopsAfterRoot: Bool
    /// Why nothing more is taken.
    private(set) var fault: XMLError.Code?
    /// Where the root ended, once it did and is the end of what is read.
    private(set) var rootEnd: Int?
    private var events: [XMLEvent] = []
    private var pendingText = ""
    private var open: [XMLName] = []
    /// Each name in the library's form, with what it means. They share the strings of their namespaces, so that a
    /// long one cannot be multiplied by naming it often.
    private var names: [String: XMLName] = [:]
    private var namespaces: [String: String] = [:]
    private var prefixes: Set<String> = []
    /// Where the unit began that is open.
    private var unitStart: Int?
    private var unitNodes = 0

    init(limits: XMLLimits, stopsAfterRoot: Bool) { (self.limits, self.stopsAfterRoot) = (limits, stopsAfterRoot) }

    var isOver: Bool { fault != nil || rootEnd != nil }

    mutating func fail(_ code: XMLError.Code) { if fault == nil { fault = code } }

    /// What the bytes pushed say about lengths that no event has told yet.
    func faultOfLength(total: Int, settled: Int) -> XMLError.Code? {
        if let limit = limits.totalBytes, (rootEnd ?? total) > limit { return .documentTooLong }
        guard rootEnd == nil else { return nil }
        if total - settled > limits.tokenBytes { return .tooLong }
        return unitStart.map { total - $0 > limits.unitBytes } ?? false ? .tooLong : nil
    }

    mutating func takeEvents() -> [XMLEvent] {
        flushText()
        defer { events = [] }
        return events
    }

    /// A name from expat: `namespace LF local LF prefix`, `namespace LF local` or `local`.
    mutating func name(_ text: String) -> XMLName? {
        if let known = names[text] { return known }
        guard text.utf8.count <= limits.nameBytes else {
            fail(.nameTooLong)
            return nil
        }
        guard names.count < limits.names else {
            fail(.tooManyNames)
            return nil
        }
        let parts = text.split(separator: "\n", omittingEmptySubsequences: false)
        let name =
            parts.count == 1 ? XMLName(text) : XMLName(String(parts[1]), in: shared(namespace: String(parts[0])))
        names[text] = name
        return name
    }

    private mutating func shared(namespace: String) -> String {
        if let known = namespaces[namespace] { return known }
        namespaces[namespace] = namespace
        return namespace
    }

    mutating func prefix(_ prefix: String) {
        if prefixes.contains(prefix) { return }
        guard prefixes.count < limits.names else { return fail(.tooManyNames) }
        guard prefix.utf8.count <= limits.nameBytes else { return fail(.nameTooLong) }
        prefixes.insert(prefix)
    }

    mutating func start(_ name: XMLName, _ attributes: [XMLAttribute], at place: Int) {
        guard open.count < limits.depth else { return fail(.tooDeep) }
        flushText()
        if open.count == (limits.unit == .document ? 0 : 1) { (unitStart, unitNodes) = (place, 0) }
        open.append(name)
        events.append(.start(name, attributes))
        count(at: place)
    }

    mutating func text(_ text: String, at place: Int) {
        if pendingText.isEmpty { count(at: place) }
        pendingText += text
    }

    /// - Parameter place: behind the end tag.
    mutating func end(at place: Int) {
        flushText()
        // expat has matched start and end tags.
        guard let name = open.popLast() else { return }
        events.append(.end(name))
        count(at: place)
        if open.count == (limits.unit == .document ? 0 : 1) { unitStart = nil }
        if open.isEmpty && stopsAfterRoot { rootEnd = place }
    }

    private mutating func flushText() {
        guard !pendingText.isEmpty else { return }
        events.append(.text(pendingText))
        pendingText = ""
    }

    private mutating func count(at place: Int) {
        guard let start = unitStart else { return }
        unitNodes += 1
        if place - start > limits.unitBytes { fail(.tooLong) }
        // An end tag counts as well: two for an element.
        if unitNodes > limits.nodes * 2 { fail(.tooManyNodes) }
    }
}

extension XMLError.Code {
    var sentence: String {
        switch self {
        case .malformed: "not well-formed"
        case .unfinished: "it ends too early"
        case .doctypeRefused: "document type declarations are not read"
        case .tooDeep: "elements stand too deep in one another"
        case .tooManyAttributes: "an element has too many attributes"
        case .nameTooLong: "a name is too long"
        case .tooManyNames: "there are too many different names"
        case .tooLong: "an element or token is too long"
        case .tooManyNodes: "an element holds too many others"
        case .documentTooLong: "it is too long"
        case .unknownEncoding: "its character set cannot be read"
        case .stopped: "the reader has stopped"
        case .libraryFailure: "the XML library failed"
        }
    }
}
