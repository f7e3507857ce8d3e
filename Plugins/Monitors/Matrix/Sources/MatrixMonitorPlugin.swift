package import Base
package import Gateway
internal import MonitorTools

/// The `matrix` kind of monitor.
package struct MatrixMonitorPlugin: MonitorPlugin {
    package var kind: String { "matrix" }

    package init() {}

    private enum Authentication: String, CaseIterable { case password, token }

    package func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)? {
        let address = ServiceAddress(reader)
        let authentication = reader.choice("authentication", default: Authentication.password)
        let poll = reader.seconds("pollSeconds", in: 1...120, default: 30)
        let timelineLimit = reader.integer("timelineLimit", in: 2...100, default: 20)
        let deviceName = reader.string("deviceName", default: "Farbell")
        guard let address else { return nil }
        var settings = MatrixMonitor.Settings(address: address)
        (settings.usesToken, settings.poll) = (authentication == .token, poll)
        (settings.timelineLimit, settings.deviceName) = (timelineLimit, deviceName)
        return MatrixMonitor(
            settings, app: app, transport: context.transport, time: context.time)
    }
}
