internal import APNsPush
internal import Gateway
internal import IMAPMonitor
internal import LinkFarm
internal import MaildirMonitor
internal import Outbound
internal import RDPFarm
internal import WebPush
internal import WebhookPush

/// The plugins this program is built with. Adding one: its folder under Plugins, its name in Package.swift, and
/// a line here.
enum Plugins {
    @Sendable static func all(_ http: HTTPClient) -> PluginCatalog {
        PluginCatalog(
            monitors: [IMAPMonitorPlugin(client: http), MaildirMonitorPlugin()],
            pushes: [APNsPushPlugin(), WebPushPlugin(), WebhookPushPlugin()],
            farms: [LinkFarmPlugin(), RDPFarmPlugin()])
    }
}
