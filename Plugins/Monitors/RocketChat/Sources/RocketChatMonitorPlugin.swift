package import Base
package import Gateway
internal import MonitorTools

/// The `rocketchat` kind of monitor.
package struct RocketChatMonitorPlugin: MonitorPlugin {
    package var kind: String { "rocketchat" }

    package init() {}

    private enum Authentication: String, CaseIterable { case password, token }

    package func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)? {
        let address = ServiceAddress(reader)
        let authentication = reader.choice("authentication", default: Authentication.password)
        let poll = reader.seconds("pollSeconds", in: 5...3_600, default: 30)
        guard let address else { return nil }
        var settings = RocketChatMonitor.Settings(address: address)
        (settings.usesToken, settings.poll) = (authentication == .token, poll)
        return RocketChatMonitor(settings, app: app, transport: context.transport, time: context.time)
    }
}
