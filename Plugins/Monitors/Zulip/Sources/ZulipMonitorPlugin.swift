package import Base
package import Gateway
internal import MonitorTools

/// The `zulip` kind of monitor.
package struct ZulipMonitorPlugin: MonitorPlugin {
    package var kind: String { "zulip" }

    package init() {}

    package func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)? {
        let address = ServiceAddress(reader)
        let longPoll = reader.seconds("longPollSeconds", in: 10...600, default: 90)
        guard let address else { return nil }
        var settings = ZulipMonitor.Settings(address: address)
        settings.longPoll = longPoll
        return ZulipMonitor(settings, app: app, transport: context.transport, time: context.time)
    }
}
