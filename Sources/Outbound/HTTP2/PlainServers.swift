/// Servers that have said no to HTTP/2, of all pools. Used on the loop's thread only.
final class PlainServers {
    /// Servers remembered; beyond these all are asked once more.
    private static let limit = 4096

    private var authorities: Set<String> = []

    func contains(_ authority: String) -> Bool { authorities.contains(authority) }

    func insert(_ authority: String) {
        if authorities.count >= Self.limit { authorities = [] }
        authorities.insert(authority)
    }
}
