internal import APNsPush
internal import EWSMonitor
internal import ExecMonitor
internal import ExecPush
internal import FCMPush
internal import FeedMonitor
internal import Gateway
internal import GotifyPush
internal import GraphMonitor
internal import GuacamoleFarm
internal import HookMonitor
internal import HTTPMonitor
internal import IMAPMonitor
internal import JMAPMonitor
internal import LinkFarm
internal import MaildirMonitor
internal import MatrixMonitor
internal import MattermostMonitor
internal import NoVNCFarm
internal import NtfyPush
internal import POP3Monitor
internal import RDPFarm
internal import RocketChatMonitor
internal import SMTPPush
internal import UnifiedPush
internal import WNSPush
internal import WebPush
internal import WebhookPush
internal import XMPPBridge
internal import XMPPMonitor
internal import XpraFarm
internal import XrdpFarm
internal import ZulipMonitor

/// The plugins this program is built with. Adding one: its folder under Plugins, its name in Package.swift, and
/// a line here.
enum Plugins {
    static let all = PluginCatalog(
        monitors: [
            EWSMonitorPlugin(),
            ExecMonitorPlugin(),
            FeedMonitorPlugin(),
            GraphMonitorPlugin(),
            HookMonitorPlugin(),
            HTTPMonitorPlugin(),
            IMAPMonitorPlugin(),
            JMAPMonitorPlugin(),
            MaildirMonitorPlugin(),
            MatrixMonitorPlugin(),
            MattermostMonitorPlugin(),
            POP3MonitorPlugin(),
            RocketChatMonitorPlugin(),
            XMPPMonitorPlugin(),
            ZulipMonitorPlugin(),
        ],
        pushes: [
            APNsPlugin(), ExecPlugin(), FCMPlugin(), GotifyPlugin(), NtfyPlugin(), SMTPPlugin(), UnifiedPushPlugin(),
            WNSPlugin(), WebPushPlugin(), WebhookPlugin(),
        ],
        farms: [
            GuacamolePlugin(), LinkPlugin(), NoVNCPlugin(), RDPPlugin(), XpraPlugin(), XrdpPlugin(),
        ],
        bridges: [XMPPBridgePlugin()])
}
