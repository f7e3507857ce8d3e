// A page of messages as the store gives it, in the order of their keys.
extension [Message] {
    /// The message of a key.
    func message(_ key: MessageKey) -> Message? {
        let index = partitioningIndex { $0.key >= key }
        return index < endIndex && self[index].key == key ? self[index] : nil
    }

    /// The first index whose element, and all after it, fit; the elements must be ordered that way.
    func partitioningIndex(where fits: (Message) -> Bool) -> Int {
        var (low, high) = (startIndex, endIndex)
        while low < high {
            let middle = (low + high) / 2
            if fits(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
