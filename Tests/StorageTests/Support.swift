import Base
import FoundationEssentials
import Gateway
import GatewayTestKit
import Storage
import Testing

extension TemporaryFolder {
    /// The database's place.
    var database: String { file("farbell.db") }
}

extension Store {
    /// The keys of all open messages.
    func openKeys() async throws -> [MessageKey] {
        var (keys, position): ([MessageKey], Int64?) = ([], nil)
        repeat {
            let page = try await openEntries(after: position, limit: 1000)
            keys += page.entries.map(\.key)
            position = page.next
        } while position != nil
        return keys
    }

    /// The error that committing ends with; nil when it works.
    func failure(committing changes: [StoreChange]) async -> StoreError? {
        do {
            try await commit(changes)
            return nil
        } catch { return error as? StoreError }
    }
}

/// The error that opening a store ends with; nil when it works.
func failure(opening path: String, options: SQLiteStore.Options = .init()) async -> StoreError? {
    do {
        await (try SQLiteStore.open(path: path, options: options)).close()
        return nil
    } catch { return error as? StoreError }
}
