public import Foundation

/// What became of a message.
public struct MessageTrace: Sendable, Hashable, Decodable, Identifiable {
    /// One step.
    public struct Step: Sendable, Hashable, Decodable {
        /// When.
        public let at: Date
        /// What it came to.
        public let state: MessageState
        /// On which device.
        public let device: String?
        /// More, for people.
        public let detail: String?
    }

    /// The message.
    public let id: String
    /// Its state now.
    public let state: MessageState
    /// All steps, the oldest first.
    public let history: [Step]
}
