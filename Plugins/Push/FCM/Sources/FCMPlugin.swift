package import Base
package import Gateway

/// Firebase Cloud Messaging, by its HTTP v1 interface and a service account.
package struct FCMPlugin: PushPlugin {
    /// Google's service.
    package static let productionURL = "https://fcm.googleapis.com"
    /// Pushes under way at once.
    package static let defaultConcurrency = 200

    package init() {}

    package var kind: String { "fcm" }

    package func configure(name: String, _ reader: ConfigReader, _ context: PluginContext) -> (any PushAdapter)? {
        let url = reader.url("url", schemes: ["https"], default: Self.productionURL)
        let caFile = reader.optionalFile("caFile")
        guard let account = Self.account(reader) else { return nil }
        let settings = FCMSettings(
            url: url, project: account.project, caFile: caFile, pool: "fcm:\(name):\(account.keyID)")
        return FCMAdapter(settings, account: account, http: context.transport, time: context.time)
    }

    private static func account(_ reader: ConfigReader) -> ServiceAccount? {
        let given = reader.string("serviceAccountFile")
        guard !given.isEmpty else { return nil }
        let path = reader.document.resolve(given)
        guard let bytes = FileSystem.contents(of: path, limit: ServiceAccount.sizeLimit) else {
            reader.report("serviceAccountFile", "cannot read the file '\(path)': \(FileSystem.lastError)")
            return nil
        }
        do {
            return try ServiceAccount(file: path, text: bytes)
        } catch {
            for problem in error.problems { reader.report("serviceAccountFile", problem.description) }
            return nil
        }
    }
}

/// Where and how one adapter sends.
struct FCMSettings: Sendable, Hashable {
    let url: String
    /// The project's id, a part of the path.
    let project: String
    let caFile: String?
    /// One pool of connections for each credential.
    let pool: String
}
