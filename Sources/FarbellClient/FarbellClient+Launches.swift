public import Foundation

/// A remote app, ready to be opened.
public struct Launch: Sendable, Hashable, Identifiable {
    /// What the client does to get into the app.
    public enum Action: Sendable, Hashable {
        /// Open this address.
        case url(String)
        /// Open this file, such as one for the remote desktop client.
        case file(contentType: String, name: String, contents: Data)
        /// A kind this library does not know.
        case unknown(kind: String)
    }

    /// The launch's id.
    public let id: String
    /// The app.
    public let app: String
    /// The session it belongs to.
    public let session: String?
    /// When it can be used no longer.
    public let expires: Date
    /// What to do.
    public let action: Action
}

extension Launch: Decodable {
    private enum Key: String, CodingKey {
        case id, app, session, expires, action, kind, url, contentType, name, body
    }

    /// Reads a launch.
    public init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: Key.self)
        id = try object.decode(String.self, forKey: .id)
        app = try object.decode(String.self, forKey: .app)
        session = try object.decodeIfPresent(String.self, forKey: .session)
        expires = try object.decode(Date.self, forKey: .expires)
        let action = try object.nestedContainer(keyedBy: Key.self, forKey: .action)
        switch try action.decode(String.self, forKey: .kind) {
        case "url": self.action = .url(try action.decode(String.self, forKey: .url))
        case "file":
            self.action = .file(
                contentType: try action.decode(String.self, forKey: .contentType),
                name: try action.decode(String.self, forKey: .name),
                contents: try action.decode(Data.self, forKey: .body))
        case let kind: self.action = .unknown(kind: kind)
        }
    }
}

extension FarbellClient {
    private struct LaunchRequest: Encodable {
        var tap: String?
        var app: String?
        var message: String?
    }

    /// Launches the app of a notification the user has tapped, at its message (SG-11). Until the launch is used,
    /// the same tap gives the same launch.
    /// - Throws: `launch_expired` when the tap was used or is too old.
    public func launch(tap: String) async throws -> Launch {
        try await wire.call(Call("POST", "launches").with(LaunchRequest(tap: tap)))
    }

    /// Launches an app.
    /// - Parameter message: the message to show.
    public func launch(app: String, message: String? = nil) async throws -> Launch {
        // Each one is a launch of its own: not to be repeated unasked.
        try await wire.call(Call("POST", "launches").with(LaunchRequest(app: app, message: message)).once())
    }
}
