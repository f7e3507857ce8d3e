// swift-tools-version: 6.2
import PackageDescription

/// Every target is held to the same rules: the compiler, not a reviewer, keeps the layout.
let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

/// A C library that Debian packages, by its pkg-config name.
func library(_ name: String, _ pkgConfig: String, _ package: String) -> Target {
    .systemLibrary(name: name, path: "Sources/\(name)", pkgConfig: pkgConfig, providers: [.apt([package])])
}

/// One of our modules, in `Sources/NAME`.
func module(_ name: String, _ dependencies: [Target.Dependency] = [], resources: [Resource] = []) -> Target {
    .target(
        name: name, dependencies: dependencies, path: "Sources/\(name)", resources: resources, swiftSettings: strict)
}

/// The tests of one module, in `Tests/NAMETests`.
func tests(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: dependencies, path: "Tests/\(name)Tests", exclude: exclude,
        swiftSettings: strict)
}

/// A monitor, push adapter or farm: one folder, which holds its code, tests, README and example.
struct Plugin {
    let folder: String
    let name: String
    let uses: [Target.Dependency]
    /// What the tests need beyond that, such as the real HTTP client.
    let testUses: [Target.Dependency]

    init(_ folder: String, _ name: String, uses: [Target.Dependency] = [], testUses: [Target.Dependency] = []) {
        (self.folder, self.name, self.uses, self.testUses) = (folder, name, uses, testUses)
    }

    var targets: [Target] {
        [
            .target(
                name: name, dependencies: ["Gateway", "Base"] + uses, path: "Plugins/\(folder)/Sources",
                swiftSettings: strict),
            .testTarget(
                name: "\(name)Tests",
                dependencies: [.target(name: name), "Gateway", "Base", "GatewayTestKit"] + uses + testUses,
                path: "Plugins/\(folder)/Tests", swiftSettings: strict),
        ]
    }
}

let plugins: [Plugin] = [
    Plugin("Monitors/EWS", "EWSMonitor", uses: ["MonitorTools", "XML"], testUses: ["Outbound"]),
    Plugin("Monitors/Exec", "ExecMonitor"),
    Plugin("Monitors/Feed", "FeedMonitor", uses: ["MonitorTools", "Mail", "XML"], testUses: ["Outbound"]),
    Plugin("Monitors/Graph", "GraphMonitor", uses: ["MonitorTools", "Cryptography"], testUses: ["Outbound"]),
    Plugin(
        "Monitors/Hook", "HookMonitor", uses: ["MonitorTools", "Cryptography", "Mail"],
        testUses: ["GatewayAPI", "Inbound"]),
    Plugin("Monitors/HTTP", "HTTPMonitor", uses: ["MonitorTools", "Mail"], testUses: ["Outbound"]),
    Plugin(
        "Monitors/IMAP", "IMAPMonitor", uses: ["MonitorTools", "MailMonitoring", "Outbound"],
        testUses: ["MonitorTestKit"]),
    Plugin("Monitors/JMAP", "JMAPMonitor", uses: ["MonitorTools", "Mail"], testUses: ["Outbound"]),
    Plugin("Monitors/Maildir", "MaildirMonitor", uses: ["Mail"]),
    Plugin("Monitors/Matrix", "MatrixMonitor", uses: ["MonitorTools"], testUses: ["MonitorTestKit", "Outbound"]),
    Plugin(
        "Monitors/Mattermost", "MattermostMonitor", uses: ["MonitorTools"], testUses: ["MonitorTestKit", "Outbound"]),
    Plugin(
        "Monitors/POP3", "POP3Monitor", uses: ["MonitorTools", "MailMonitoring", "Outbound"],
        testUses: ["MonitorTestKit"]),
    Plugin(
        "Monitors/RocketChat", "RocketChatMonitor", uses: ["MonitorTools"], testUses: ["MonitorTestKit", "Outbound"]),
    Plugin("Monitors/XMPP", "XMPPMonitor", uses: ["Outbound", "XML", "XMPPTools"], testUses: ["MonitorTestKit"]),
    Plugin("Monitors/Zulip", "ZulipMonitor", uses: ["MonitorTools"], testUses: ["MonitorTestKit", "Outbound"]),
    Plugin("Push/APNs", "APNsPush", uses: ["Cryptography"], testUses: ["Outbound"]),
    Plugin("Push/FCM", "FCMPush", uses: ["Cryptography"], testUses: ["Outbound"]),
    Plugin("Push/WNS", "WNSPush", uses: ["Cryptography"], testUses: ["Outbound"]),
    Plugin("Push/Gotify", "GotifyPush", uses: ["Cryptography"], testUses: ["Outbound"]),
    Plugin("Push/Ntfy", "NtfyPush", uses: ["Cryptography"], testUses: ["Outbound"]),
    Plugin("Push/UnifiedPush", "UnifiedPush", uses: ["Cryptography"], testUses: ["Outbound"]),
    Plugin("Push/Exec", "ExecPush", uses: ["Cryptography"], testUses: ["Outbound"]),
    Plugin("Push/SMTP", "SMTPPush", uses: ["Outbound", "Mail"]),
    Plugin("Push/WebPush", "WebPush", uses: ["Cryptography"], testUses: ["Outbound"]),
    Plugin("Push/Webhook", "WebhookPush", uses: ["Cryptography"], testUses: ["Outbound"]),
    Plugin("Bridges/XMPP", "XMPPBridge", uses: ["Cryptography", "Outbound", "XML", "XMPPTools"]),
    Plugin("Farms/Guacamole", "GuacamoleFarm", uses: ["Cryptography", "FarmTools"]),
    Plugin("Farms/Link", "LinkFarm"),
    Plugin("Farms/NoVNC", "NoVNCFarm", uses: ["Cryptography", "FarmTools"]),
    Plugin("Farms/RDP", "RDPFarm", uses: ["Cryptography", "FarmTools"]),
    Plugin("Farms/Xpra", "XpraFarm", uses: ["FarmTools"]),
    Plugin("Farms/Xrdp", "XrdpFarm", uses: ["FarmTools"]),
]

let pluginModules: [Target.Dependency] = plugins.map { .target(name: $0.name) }

let package = Package(
    name: "farbell",
    // For the client library, which builds for Apple's systems too.
    platforms: [.macOS(.v13), .iOS(.v16)],
    products: [
        .executable(name: "farbell", targets: ["farbell"]),
        .library(name: "FarbellClient", targets: ["FarbellClient"]),
    ],
    targets: [
        library("CCurl", "libcurl", "libcurl4-openssl-dev"),
        library("CSQLite", "sqlite3", "libsqlite3-dev"),
        library("CCrypto", "libcrypto", "libssl-dev"),
        library("CArgon2", "libargon2", "libargon2-dev"),
        library("CJemalloc", "jemalloc", "libjemalloc-dev"),
        library("CMicroHTTPD", "libmicrohttpd", "libmicrohttpd-dev"),
        library("CGMime", "gmime-3.0", "libgmime-3.0-dev"),
        library("CExpat", "expat", "libexpat1-dev"),
        library("CNGHTTP2", "libnghttp2", "libnghttp2-dev"),
        library("CTLS", "libssl", "libssl-dev"),
        .systemLibrary(name: "CSpawn", path: "Sources/CSpawn"),

        module("Base", ["CSpawn"]),
        module("Outbound", ["Base", "CCurl", "CNGHTTP2"]),
        module("Inbound", ["Base", "CMicroHTTPD"]),
        module("Cryptography", ["Base", "CCrypto", "CArgon2"]),
        module("Mail", ["Base", "CGMime"]),
        module("XML", ["Base", "CExpat"]),
        module("Gateway", ["Base"]),
        // What monitors have in common: calls with typed failures, grants, lists without a cursor, chats.
        module("MonitorTools", ["Base", "Gateway"]),
        module("MailMonitoring", ["Base", "Gateway", "Mail", "MonitorTools", "Outbound"]),
        // What speaks to XMPP servers: connections, what is taken of their streams, names.
        module("XMPPTools", ["Base", "Outbound", "XML"]),
        module("Storage", ["Gateway", "Base", "CSQLite"]),
        // What farms have in common: programs that open sessions, and asking again what a farm sees.
        module("FarmTools", ["Gateway", "Base", "Cryptography"]),
        // The portal's files become part of the program: there is no folder of them to install.
        module("GatewayAPI", ["Gateway", "Inbound", "Base"], resources: [.embedInCode("Portal/Files")]),
        module("Daemon", ["Base", "Outbound", "Inbound", "Cryptography", "Gateway", "GatewayAPI", "Storage"]),
        module("FarbellClient"),
        module("GatewayTestKit", ["Gateway", "Base", "XML", "CNGHTTP2", "CTLS", "CCrypto"]),

        // What the tests of monitors that speak to mail servers share.
        module("MonitorTestKit", ["Base", "GatewayTestKit", "MailMonitoring", "MonitorTools", "Outbound"]),

        .executableTarget(
            name: "farbell",
            dependencies: ["CJemalloc", "Daemon", "Gateway", "Outbound"] + pluginModules,
            path: "Sources/farbell", swiftSettings: strict),
        .executableTarget(
            name: "farbell-bench",
            dependencies: [
                "Base", "CJemalloc", "CMicroHTTPD", "Gateway", "GatewayAPI", "GatewayTestKit", "Inbound", "Storage",
                "Cryptography", "Outbound", "APNsPush",
            ],
            path: "Sources/farbell-bench", swiftSettings: strict),
        // Kills the gateway under load and judges what is left: `Scripts/prove-queue`.
        .executableTarget(
            name: "farbell-prove", dependencies: ["Base", "GatewayTestKit"], path: "Sources/farbell-prove",
            swiftSettings: strict),
        // The load client of `Scripts/bench queue`: it shares the processors with what it measures.
        .executableTarget(
            name: "farbell-load", path: "Sources/farbell-load",
            cSettings: [.define("_GNU_SOURCE"), .treatAllWarnings(as: .error)]),
        // What a put takes without Farbell: `Scripts/bench queue` shows it beside the queues.
        .executableTarget(
            name: "farbell-floor", dependencies: ["CMicroHTTPD", "CSQLite"], path: "Sources/farbell-floor",
            cSettings: [.define("_GNU_SOURCE"), .treatAllWarnings(as: .error)]),

        tests("Base", ["Base", "GatewayTestKit"]),
        tests("Outbound", ["Outbound", "Base", "GatewayTestKit"], exclude: ["Peers"]),
        tests("Inbound", ["Inbound", "Base", "GatewayTestKit"]),
        tests("Cryptography", ["Cryptography", "Base"]),
        tests("Mail", ["Mail", "Base"]),
        tests("XML", ["XML", "Base"]),
        tests("Gateway", ["Gateway", "Base", "GatewayTestKit"]),
        tests("Storage", ["Storage", "Gateway", "Base", "GatewayTestKit"]),
        tests("MonitorTools", ["MonitorTools", "Gateway", "Base", "GatewayTestKit"]),
        tests("FarmTools", ["FarmTools", "Gateway", "Base", "GatewayTestKit"]),
        tests("GatewayAPI", ["GatewayAPI", "Gateway", "Inbound", "Base", "GatewayTestKit"]),
        tests("Daemon", ["farbell", "Daemon", "Gateway", "Base", "Outbound", "GatewayTestKit"]),
        tests("FarbellClient", ["FarbellClient", "Inbound", "Base", "GatewayTestKit"]),
        tests("GatewayTestKit", ["GatewayTestKit", "Base"]),
        // Every push adapter through every fault of its service, in a whole gateway.
        tests(
            "PushMatrix",
            [
                "APNsPush", "ExecPush", "FCMPush", "GotifyPush", "NtfyPush", "SMTPPush", "UnifiedPush", "WNSPush",
                "WebPush", "WebhookPush", "Outbound", "Gateway", "Base", "GatewayTestKit",
            ], exclude: ["README.md"]),
        tests("EndToEnd", ["farbell", "farbell-bench", "farbell-prove", "FarbellClient", "Base", "GatewayTestKit"]),
    ] + plugins.flatMap(\.targets),
    swiftLanguageModes: [.v6]
)
