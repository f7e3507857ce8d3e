internal import Base

/// What a device hears on its stream.
package enum StreamEvent: Sendable {
    case hello(device: DeviceID, epoch: Int64, cursor: Int64)
    case message(Message)
    case notify(Notification)
    /// `clear` and `receipt` carry the data they were stored with.
    case stored(StoredEvent)
    case presence(account: AccountID, AccountPresence)
    /// The running session of an app is asked to come to the front.
    case launch(LaunchID, app: AppID)
    /// An entry of a conversation with `peer`, as it is now.
    case entry(HistoryEntry, peer: QueueAddress)
    /// The peer is writing, or has stopped.
    case typing(peer: QueueAddress, TypingState)
}

/// A connection that takes events; made by whoever speaks the wire protocol.
package protocol DeviceStream: AnyObject, Sendable {
    /// Takes an event without waiting. False when the connection has ended or is hopelessly behind: it
    /// is closed then, and the device goes on from its cursor when it comes back.
    func send(_ event: StreamEvent, number: Int64?) -> Bool
    /// Returns true when little enough is waiting to be read that more may be sent, false when the
    /// connection has ended.
    func drained() async -> Bool
    /// Ends the connection.
    func close()
}
