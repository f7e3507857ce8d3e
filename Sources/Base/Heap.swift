/// A binary heap: the least element comes first. Public for the reason that `Locked` gives.
public struct Heap<Element: Comparable> {
    @usableFromInline var elements: [Element] = []

    /// Without elements.
    @inlinable
    public init() {}

    /// Elements in it.
    @inlinable public var count: Int { elements.count }
    /// The least; nil of an empty one.
    @inlinable public var first: Element? { elements.first }

    /// Takes an element, in logarithmic time.
    @inlinable
    public mutating func insert(_ element: Element) {
        elements.append(element)
        rise(elements.count - 1)
    }

    /// Takes the least out, in logarithmic time; nil of an empty one.
    @discardableResult
    @inlinable
    public mutating func popFirst() -> Element? {
        guard let first = elements.first else { return nil }
        let last = elements.removeLast()
        if !elements.isEmpty {
            elements[0] = last
            sink(0)
        }
        return first
    }

    /// Drops the elements that do not fit; costs as much as the heap is long.
    @inlinable
    public mutating func keep(where fits: (Element) -> Bool) {
        elements.removeAll { !fits($0) }
        for index in stride(from: elements.count / 2 - 1, through: 0, by: -1) { sink(index) }
    }

    @inlinable
    mutating func rise(_ start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard elements[index] < elements[parent] else { return }
            elements.swapAt(index, parent)
            index = parent
        }
    }

    @inlinable
    mutating func sink(_ start: Int) {
        var index = start
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2]
            where child < elements.count && elements[child] < elements[least] {
                least = child
            }
            guard least != index else { return }
            elements.swapAt(index, least)
            index = least
        }
    }
}

extension Heap: Sendable where Element: Sendable {}
