internal import Base
internal import Gateway
internal import Storage

/// Opens the configured store.
enum StoreOpener {
    /// - Throws: `StoreError`.
    static func open(_ configuration: DaemonConfiguration) async throws -> any Store {
        _ = FileSystem.createFolder(FileSystem.folder(of: configuration.databaseFile))
        return try await SQLiteStore.open(path: configuration.databaseFile)
    }
}
