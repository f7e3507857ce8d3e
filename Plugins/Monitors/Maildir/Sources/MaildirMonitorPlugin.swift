package import Base
package import Gateway

/// The `maildir` kind of monitor: mail delivered to a folder on this machine.
package struct MaildirMonitorPlugin: MonitorPlugin {
    package var kind: String { "maildir" }

    package init() {}

    package func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)? {
        let path = reader.file("path")
        let poll = reader.seconds("pollSeconds", in: 1...86_400, default: 60)
        let seen = reader.choice("seen", default: MaildirScan.Seen.moved)
        let usesInotify = reader.bool("inotify", default: true)
        guard reader.has("path") else { return nil }
        if !path.contains("{username}") {
            reader.report("path", "without {username} in it, every user would see the same mailbox")
        }
        return MaildirMonitor(
            MaildirMonitor.Settings(path: path, poll: poll, seen: seen, usesInotify: usesInotify), time: context.time,
            log: context.log.with(["app.id": .string(app.text), "monitor.kind": "maildir"]))
    }
}
