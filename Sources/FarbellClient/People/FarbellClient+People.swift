internal import Foundation

extension FarbellClient {
    // MARK: Contacts

    /// The contacts and who waits to be one, with how they are, by name. What changes comes on the stream as
    /// `presence` and `contact`; those of the time without a connection do not come later, so ask again after `hello`.
    /// - Parameters:
    ///   - limit: 1 to 1000.
    ///   - after: the `next` of the page before.
    public func contacts(limit: Int = 100, after: String? = nil) async throws -> Page<Contact> {
        try await wire.call(Self.list("contacts", limit, after))
    }

    /// One of the contacts, or of those who wait to be one.
    /// - Throws: `not_found`.
    public func contact(_ account: String) async throws -> Contact {
        try await wire.call(Call("GET", "contacts", account))
    }

    /// Asks an account to be a contact, or accepts one that has asked.
    /// - Returns: how the two stand now: `asked`, or `contact`. Where both must agree, an account that does not exist is
    ///   `asked` like any other.
    /// - Throws: `not_found` where everybody may add everybody and there is no such account; `limit_reached`;
    ///   `rate_limited`.
    @discardableResult
    public func addContact(_ account: String) async throws -> Contact {
        try await wire.call(Call("PUT", "contacts", account))
    }

    /// Ends being contacts, takes the own wish back, or turns the other's down.
    public func removeContact(_ account: String) async throws {
        try await wire.perform(Call("DELETE", "contacts", account))
    }

    // MARK: Blocks

    /// Who is not heard, by name.
    /// - Parameters:
    ///   - limit: 1 to 1000.
    ///   - after: the `next` of the page before.
    public func blocks(limit: Int = 100, after: String? = nil) async throws -> Page<Block> {
        try await wire.call(Self.list("blocks", limit, after))
    }

    /// Hears an account no more. It is not told: its messages are refused as if there were no such account as this one,
    /// and this one looks offline to it.
    /// - Throws: `limit_reached`.
    public func block(_ account: String) async throws { try await wire.perform(Call("PUT", "blocks", account)) }

    /// Hears an account again.
    public func unblock(_ account: String) async throws { try await wire.perform(Call("DELETE", "blocks", account)) }

    // MARK: The own status

    /// What the account says of itself, and what others see of it now.
    public func status() async throws -> OwnStatus { try await wire.call(Call("GET", "status")) }

    /// Says something else of the account, on all of its devices.
    /// - Throws: `invalid_field` for a text that is too long or has control characters.
    @discardableResult
    public func setStatus(_ change: StatusChange) async throws -> OwnStatus {
        try await wire.call(Call("PUT", "status").with(change))
    }

    private static func list(_ path: String, _ limit: Int, _ after: String?) -> Call {
        var call = Call("GET", path, query: [("limit", String(limit))])
        if let after { call.query.append(("after", after)) }
        return call
    }
}
