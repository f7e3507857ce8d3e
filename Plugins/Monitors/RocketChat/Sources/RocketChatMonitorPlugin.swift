package import Base
package import Gateway
internal import MonitorTools

/// The `rocketchat` kind of monitor.
package struct RocketChatMonitorPlugin: MonitorPlugin {
    package var kind: String { "rocketchat" }

    package init() {}

    package func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)? {
        PolledChatSettings(reader).map {
            RocketChatMonitor($0, app: app, transport: context.transport, time: context.time)
        }
    }
}
