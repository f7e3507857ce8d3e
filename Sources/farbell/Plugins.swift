internal import APNsPush
internal import ExecPush
internal import Gateway
internal import IMAPMonitor
internal import LinkFarm
internal import MaildirMonitor
internal import RDPFarm
internal import SMTPPush
internal import WebPush
internal import WebhookPush

/// The plugins this program is built with. Adding one: its folder under Plugins, its name in Package.swift, and
/// a line here.
enum Plugins {
    static let all = PluginCatalog(
        monitors: [IMAPMonitorPlugin(), MaildirMonitorPlugin()],
        pushes: [APNsPlugin(), ExecPlugin(), SMTPPlugin(), WebPushPlugin(), WebhookPlugin()],
        farms: [LinkPlugin(), RDPPlugin()])
}
