/// Makes elements of a reader's events.
package struct XMLTreeBuilder {
    private var open: [XMLElement] = []

    package init() {}

    /// Takes the next event; returns an element when it ended and stands in no other. Text outside of elements and
    /// an end without a start are dropped: the latter ends an element whose start was taken by the caller.
    package mutating func take(_ event: XMLEvent) -> XMLElement? {
        switch event {
        case .start(let name, let attributes): open.append(XMLElement(name, attributes))
        case .text(let text):
            guard let last = open.indices.last else { return nil }
            if case .text(let before)? = open[last].nodes.last {
                open[last].nodes[open[last].nodes.count - 1] = .text(before + text)
            } else {
                open[last].nodes.append(.text(text))
            }
        case .end:
            guard let done = open.popLast() else { return nil }
            guard let last = open.indices.last else { return done }
            open[last].nodes.append(.element(done))
        }
        return nil
    }

    /// Whether no element is open.
    package var isEmpty: Bool { open.isEmpty }
}
