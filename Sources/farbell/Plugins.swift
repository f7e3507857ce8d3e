internal import APNsPush
internal import EWSMonitor
internal import ExecPush
internal import FCMPush
internal import Gateway
internal import GotifyPush
internal import GraphMonitor
internal import IMAPMonitor
internal import LinkFarm
internal import MaildirMonitor
internal import NtfyPush
internal import RDPFarm
internal import SMTPPush
internal import UnifiedPush
internal import WNSPush
internal import WebPush
internal import WebhookPush

/// The plugins this program is built with. Adding one: its folder under Plugins, its name in Package.swift, and
/// a line here.
enum Plugins {
    static let all = PluginCatalog(
        monitors: [EWSMonitorPlugin(), GraphMonitorPlugin(), IMAPMonitorPlugin(), MaildirMonitorPlugin()],
        pushes: [
            APNsPlugin(), ExecPlugin(), FCMPlugin(), GotifyPlugin(), NtfyPlugin(), SMTPPlugin(), UnifiedPushPlugin(),
            WNSPlugin(), WebPushPlugin(), WebhookPlugin(),
        ],
        farms: [LinkPlugin(), RDPPlugin()])
}
