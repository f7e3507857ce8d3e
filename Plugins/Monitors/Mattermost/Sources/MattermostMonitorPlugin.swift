package import Base
package import Gateway
internal import MonitorTools

/// The `mattermost` kind of monitor.
package struct MattermostMonitorPlugin: MonitorPlugin {
    package var kind: String { "mattermost" }

    package init() {}

    package func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)? {
        PolledChatSettings(reader).map {
            MattermostMonitor($0, app: app, transport: context.transport, time: context.time)
        }
    }
}
