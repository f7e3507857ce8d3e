internal import Base

/// What an operator does with all that is kept of one account; the running gateway does the work.
struct AccountData: Sendable {
    let client: AdminClient
    let environment: Environment

    /// Prints everything of an account, a line of JSON for each thing.
    func export(_ name: String) async throws {
        var after: String?
        repeat {
            let query = "?limit=500" + (after.map { "&after=\(AdminClient.segment($0))" } ?? "")
            let page = try await client.call("GET", "accounts/\(AdminClient.segment(name))/export\(query)")
            for item in page["items"]?.array ?? [] { environment.print(item.serialized) }
            after = page["next"]?.string
        } while after != nil
    }

    /// Ends an account for good.
    func delete(_ name: String) async throws {
        _ = try await client.call("DELETE", "accounts/\(AdminClient.segment(name))")
        environment.print("\(name): done")
    }
}
