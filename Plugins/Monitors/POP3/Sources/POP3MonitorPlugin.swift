package import Base
package import Gateway
package import MailMonitoring
internal import Outbound

/// The `pop3` kind of monitor.
package struct POP3MonitorPlugin: MonitorPlugin {
    package var kind: String { "pop3" }
    private let connector: (any MailConnector)?

    /// - Parameter connector: nil takes the daemon's own client, out of the plugin context.
    package init(connector: (any MailConnector)? = nil) { self.connector = connector }

    package func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)? {
        let server = MailServer(reader, .pop3)
        let poll = reader.seconds("pollSeconds", in: 30...86_400, default: 300)
        let looksAtOnce = reader.integer("looksAtOnce", in: 1...1_000, default: 32)
        let commandTimeout = reader.seconds("commandSeconds", in: 5...300, default: 30)
        let authentication = MailAuthentication(reader)
        guard let server else { return nil }
        var settings = POP3Monitor.Settings(server)
        (settings.authentication, settings.poll) = (authentication, poll)
        (settings.looksAtOnce, settings.session.commandTimeout) = (looksAtOnce, commandTimeout)
        let client = (context.transport as? HTTPClient).map { OutboundMailConnector(client: $0, time: context.time) }
        return POP3Monitor(
            settings, connector: connector ?? client ?? MissingMailConnector(), transport: context.transport,
            pool: "oauth:\(app)", time: context.time, readHeader: MessageHeader.read)
    }
}
