internal import APNsPush
internal import ExecMonitor
internal import ExecPush
internal import FCMPush
internal import FeedMonitor
internal import Gateway
internal import GotifyPush
internal import HTTPMonitor
internal import HookMonitor
internal import IMAPMonitor
internal import LinkFarm
internal import MaildirMonitor
internal import NtfyPush
internal import POP3Monitor
internal import RDPFarm
internal import SMTPPush
internal import UnifiedPush
internal import WNSPush
internal import WebPush
internal import WebhookPush
internal import XMPPMonitor

/// The plugins this program is built with. Adding one: its folder under Plugins, its name in Package.swift, and
/// a line here.
enum Plugins {
    static let all = PluginCatalog(
        monitors: [
            ExecMonitorPlugin(),
            FeedMonitorPlugin(),
            HookMonitorPlugin(),
            HTTPMonitorPlugin(),
            IMAPMonitorPlugin(),
            MaildirMonitorPlugin(),
            POP3MonitorPlugin(),
            XMPPMonitorPlugin(),
        ],
        pushes: [
            APNsPlugin(), ExecPlugin(), FCMPlugin(), GotifyPlugin(), NtfyPlugin(), SMTPPlugin(), UnifiedPushPlugin(),
            WNSPlugin(), WebPushPlugin(), WebhookPlugin(),
        ],
        farms: [LinkPlugin(), RDPPlugin()])
}
