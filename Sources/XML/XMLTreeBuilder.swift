/// Makes elements of a reader's events.
///
/// It may prune: a message that somebody else sends through a server of ours must not end the stream that carries it,
/// or nothing behind it would ever be read. What goes beyond a bound is left out, with all that is in it.
package struct XMLTreeBuilder {
    /// What is kept of an element.
    package struct Bounds: Sendable, Hashable {
        /// Elements within one another.
        package var depth: Int
        /// Elements and texts in all.
        package var nodes: Int
        /// Attributes of each element.
        package var attributes: Int

        package init(depth: Int, nodes: Int, attributes: Int) {
            (self.depth, self.nodes, self.attributes) = (depth, nodes, attributes)
        }
    }

    private let bounds: Bounds?
    private var open: [XMLElement] = []
    private var nodes = 0
    /// Elements open that are left out.
    private var skipped = 0

    /// - Parameter bounds: nil keeps everything.
    package init(keeping bounds: Bounds? = nil) { self.bounds = bounds }

    /// Takes the next event; returns an element when it ended and stands in no other. Text outside of elements and
    /// an end without a start are dropped: the latter ends an element whose start was taken by the caller.
    package mutating func take(_ event: XMLEvent) -> XMLElement? {
        if prunes(event) { return nil }
        switch event {
        case .start(let name, let attributes):
            open.append(XMLElement(name, Array(attributes.prefix(bounds?.attributes ?? attributes.count))))
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

    /// Whether an event belongs to what is left out.
    private mutating func prunes(_ event: XMLEvent) -> Bool {
        guard let bounds else { return false }
        if open.isEmpty { nodes = 0 }
        if case .end = event {
            if skipped > 0 {
                skipped -= 1
                return true
            }
            return false
        }
        nodes += 1
        let isBeyond = skipped > 0 || nodes > bounds.nodes || open.count >= bounds.depth
        switch event {
        case .start where isBeyond:
            skipped += 1
            return true
        // Text is bounded by the unit's bytes; only what is in an element left out goes with it.
        case .text: return skipped > 0
        default: return false
        }
    }

    /// Whether no element is open.
    package var isEmpty: Bool { open.isEmpty }
}
