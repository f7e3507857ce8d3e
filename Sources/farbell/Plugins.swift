internal import APNsPush
internal import FCMPush
internal import Gateway
internal import GotifyPush
internal import IMAPMonitor
internal import LinkFarm
internal import MaildirMonitor
internal import NtfyPush
internal import RDPFarm
internal import UnifiedPush
internal import WNSPush
internal import WebPush
internal import WebhookPush

/// The plugins this program is built with. Adding one: its folder under Plugins, its name in Package.swift, and
/// a line here.
enum Plugins {
    static let all = PluginCatalog(
        monitors: [IMAPMonitorPlugin(), MaildirMonitorPlugin()],
        pushes: [
            APNsPlugin(), FCMPlugin(), GotifyPlugin(), NtfyPlugin(), UnifiedPushPlugin(), WNSPlugin(), WebPushPlugin(),
            WebhookPlugin(),
        ],
        farms: [LinkPlugin(), RDPPlugin()])
}
