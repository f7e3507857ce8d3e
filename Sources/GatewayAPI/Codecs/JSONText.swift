internal import Base
internal import Gateway

/// JSON put together as text, without a tree in between: for what is answered thousands of times a second.
struct JSONText {
    private(set) var bytes: [UInt8] = []
    private var needsComma = false

    /// - Parameter capacity: bytes that are likely to come.
    init(capacity: Int = 256) { bytes.reserveCapacity(capacity) }

    /// - Parameter name: as it is in an object; nil in a list. Needs no escape.
    private mutating func begin(_ name: String?) {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
        guard let name else { return }
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: name.utf8)
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
    }

    private mutating func open(_ name: String?, _ bracket: UInt8) {
        begin(name)
        bytes.append(bracket)
        needsComma = false
    }

    private mutating func close(_ bracket: UInt8) {
        bytes.append(bracket)
        needsComma = true
    }

    mutating func object(_ name: String? = nil, _ body: (inout JSONText) -> Void) {
        open(name, UInt8(ascii: "{"))
        body(&self)
        close(UInt8(ascii: "}"))
    }

    mutating func array(_ name: String? = nil, _ body: (inout JSONText) -> Void) {
        open(name, UInt8(ascii: "["))
        body(&self)
        close(UInt8(ascii: "]"))
    }

    mutating func add(_ name: String, _ text: String) {
        begin(name)
        bytes.appendJSON(text)
    }

    /// An address's text.
    mutating func add(_ name: String, _ address: QueueAddress) {
        begin(name)
        bytes.appendJSON(address.start, address.name)
    }

    /// Text that is kept as UTF-8.
    mutating func add(_ name: String, utf8 text: [UInt8]) {
        begin(name)
        bytes.appendJSON(utf8: text)
    }

    /// A string that needs no escape.
    mutating func add(_ name: String, write: (inout [UInt8]) -> Void) {
        begin(name)
        bytes.append(UInt8(ascii: "\""))
        write(&bytes)
        bytes.append(UInt8(ascii: "\""))
    }

    /// A member whose name is not ours.
    mutating func add(foreign name: String, _ text: String) {
        begin(nil)
        bytes.appendJSON(name)
        bytes.append(UInt8(ascii: ":"))
        bytes.appendJSON(text)
    }

    mutating func add(_ name: String, _ number: Int64) {
        begin(name)
        bytes.appendDecimal(number)
    }

    mutating func add(_ name: String, _ time: Timestamp) {
        add(name, write: time.write)
    }

    mutating func addNull(_ name: String) {
        begin(name)
        bytes.append(contentsOf: "null".utf8)
    }
}
