package import Base
package import Gateway
package import MailMonitoring
internal import Outbound

/// The `imap` kind of monitor.
package struct IMAPMonitorPlugin: MonitorPlugin {
    package var kind: String { "imap" }
    private let connector: (any MailConnector)?

    /// - Parameter connector: nil takes the daemon's own client, out of the plugin context.
    package init(connector: (any MailConnector)? = nil) { self.connector = connector }

    package func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)? {
        guard let settings = settings(reader) else { return nil }
        let client = (context.transport as? HTTPClient).map { OutboundMailConnector(client: $0, time: context.time) }
        return IMAPMonitor(
            settings, connector: connector ?? client ?? MissingMailConnector(), transport: context.transport,
            pool: "oauth:\(app)", time: context.time,
            log: context.log.with(["app.id": .string(app.text), "monitor.kind": "imap"]),
            readHeader: MessageHeader.read)
    }

    /// Reads the plugin's keys; nil after a fault that leaves no server to watch.
    private func settings(_ reader: ConfigReader) -> IMAPMonitor.Settings? {
        let server = MailServer(reader, .imap)
        let mailbox = reader.string("mailbox", default: "INBOX")
        if mailbox.isEmpty || mailbox.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) {
            reader.report("mailbox", "a mailbox's name is not empty and has no control characters")
        }
        let mailboxes = reader.has("mailboxes") ? reader.strings("mailboxes") : nil
        if let mailboxes {
            if reader.has("mailbox") { reader.report("mailbox", "is one of \"mailboxes\", if both are meant") }
            if !(1...IMAPFolderWatch.limit).contains(mailboxes.count) {
                reader.report("mailboxes", "expected 1 to \(IMAPFolderWatch.limit) names or patterns")
            }
            if mailboxes.contains(where: { $0.isEmpty || $0.unicodeScalars.contains { $0.value < 0x20 } }) {
                reader.report("mailboxes", "a mailbox's name is not empty and has no control characters")
            }
        }
        var options = IMAPSession.Options()
        options.mailbox = mailbox
        options.poll = reader.seconds("pollSeconds", in: 10...86_400, default: 60)
        options.reconcile = reader.seconds("reconcileSeconds", in: 30...3_600, default: 300)
        options.commandTimeout = reader.seconds("commandSeconds", in: 5...300, default: 30)
        let idle = reader.seconds("idleSeconds", in: 60...1_740, default: 540)
        let authentication = MailAuthentication(reader)
        guard let server else { return nil }
        var settings = IMAPMonitor.Settings(server, authentication: authentication, idle: idle, session: options)
        settings.mailboxes = mailboxes
        return settings
    }
}
