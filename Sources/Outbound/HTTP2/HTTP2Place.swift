internal import Base

/// What requests must have in common to share a connection.
struct HTTP2Place: Hashable {
    let authority: String
    private let connectTo: String?
    private let caFile: String?
    private let certificate: HTTPRequest.ClientCertificate?

    init(_ request: HTTPRequest, _ target: HTTP2Target) {
        (authority, connectTo) = (target.authority, request.connectTo)
        (caFile, certificate) = (request.caFile, request.certificate)
    }

    /// What a connection is made for.
    var request: HTTPRequest {
        var request = HTTPRequest("GET", "https://\(authority)/")
        (request.connectTo, request.caFile, request.certificate) = (connectTo, caFile, certificate)
        return request
    }
}

/// Numbers for places, by which a pool's machine knows them.
struct HTTP2Places {
    /// Places remembered; beyond these the unused ones are forgotten.
    static let limit = 2048

    private var numbers: [HTTP2Place: Int] = [:]
    /// The one asked for last: most pools have but one.
    private var last: (place: HTTP2Place, number: Int)?
    private var count = 0

    /// - Parameter isUsed: whether a number is still needed.
    mutating func number(of place: HTTP2Place, isUsed: (Int) -> Bool) -> Int {
        if let last, last.place == place { return last.number }
        if let number = numbers[place] {
            last = (place, number)
            return number
        }
        if numbers.count >= Self.limit { numbers = numbers.filter { isUsed($0.value) } }
        count += 1
        numbers[place] = count
        last = (place, count)
        return count
    }

    /// Nil for a number that has been forgotten.
    func place(_ number: Int) -> HTTP2Place? { numbers.first { $0.value == number }?.key }
}
