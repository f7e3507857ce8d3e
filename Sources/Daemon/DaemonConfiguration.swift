package import Base
package import Gateway

/// The whole configuration file: what the core works from, and what is around it.
package struct DaemonConfiguration: Sendable {
    package struct Listen: Sendable, Hashable {
        package var address = "127.0.0.1"
        package var port = 8440
        package var certificate: String?
        package var key: String?
        /// Proxies in front of us, by address: what they say of the caller's address is believed.
        package var trustedProxies: [String] = []
    }

    package var listen = Listen()
    /// Where the outside reaches us; links in notifications and launches start with it.
    package var publicURL = "http://127.0.0.1:8440"
    /// Where the portal puts the files of messages; nil: it sends none.
    package var filesURL: String?
    /// The database file.
    package var databaseFile = ""
    /// The key that credentials are sealed with; made on the first start.
    package var keyFile = ""
    package var adminTokenFile = ""
    package var logFormat = LogFormat.json
    package var logLevel = LogLevel.info
    /// How often a `stats` line is written; zero: never.
    package var statsInterval: Duration = .seconds(60)
    package var gateway = GatewayConfiguration()

    /// Reads a file and checks everything that can be checked without connecting.
    /// - Throws: `ConfigError` with all problems.
    package static func load(
        _ file: String, environment: [String: String], plugins: PluginCatalog, context: PluginContext
    ) throws(ConfigError) -> DaemonConfiguration {
        guard let text = FileSystem.contents(of: file, limit: 16 << 20) else {
            throw ConfigError(problems: [
                ConfigProblem(
                    file: file, position: TextPosition(line: 1, column: 1), path: "",
                    message: "cannot read the configuration: \(FileSystem.lastError)")
            ])
        }
        return try ConfigDocument(file: file, text: text, environment: environment).read { reader in
            DaemonConfiguration(reader, plugins: plugins, context: context)
        }
    }

    private init(_ reader: ConfigReader, plugins: PluginCatalog, context: PluginContext) {
        listen = reader.object("listen", Self.listen) ?? Listen()
        let scheme = listen.certificate == nil ? "http" : "https"
        publicURL = reader.url(
            "publicURL", schemes: ["https", "http"], default: "\(scheme)://\(listen.address):\(listen.port)")
        reader.object("portal") { reader in filesURL = Self.filesURL(reader) }
        databaseFile = Self.database(reader)
        keyFile = reader.file("keyFile")
        adminTokenFile = reader.object("admin") { $0.file("tokenFile") } ?? reader.document.resolve("admin.token")
        reader.object("log") { reader in
            logFormat = reader.choice("format", default: .json)
            logLevel = reader.choice("level", default: .info)
            statsInterval = reader.seconds("statsSeconds", in: 0...86_400, default: 60)
        }
        reader.object("accounts") { reader in
            reader.object("local") { _ in }
            if reader.has("ldap") {
                _ = reader.value("ldap")
                reader.report("ldap", "this version checks local accounts only; remove 'ldap'")
            }
        }
        if reader.has("cluster") {
            _ = reader.value("cluster")
            reader.report("cluster", "this version runs as one node; remove 'cluster'")
        }
        var context = context
        context.tapPage = "\(publicURL)/l/"
        context.hookBase = "\(publicURL)/hooks/"
        var plugins = plugins
        plugins.callback = WebCallbackPlugin()
        gateway = GatewayConfiguration(reader, plugins: plugins, context: context)
    }

    private static func listen(_ reader: ConfigReader) -> Listen {
        var listen = Listen()
        listen.address = reader.string("address", default: listen.address)
        listen.port = reader.integer("port", in: 0...65_535, default: listen.port)
        listen.trustedProxies = reader.strings("trustedProxies")
        reader.object("tls") { reader in
            listen.certificate = reader.file("certificate")
            listen.key = reader.file("key")
            for (name, file) in [("certificate", listen.certificate), ("key", listen.key)] {
                if let file, !FileSystem.exists(file) { reader.report(name, "cannot read the file '\(file)'") }
            }
        }
        return listen
    }

    /// Attachments are known by https addresses, which the page adds names to.
    private static func filesURL(_ reader: ConfigReader) -> String? {
        guard let text = reader.optionalString("filesURL") else { return nil }
        let url = text.hasSuffix("/") ? String(text.dropLast()) : text
        guard (try? WebAddress(url))?.isSecure == true, !url.contains("?"), url.utf8.count <= 1024 else {
            reader.report("filesURL", "expected an address such as https://files.example.org/farbell, without a query")
            return nil
        }
        return url
    }

    private static func database(_ reader: ConfigReader) -> String {
        reader.object("data") { reader in
            if reader.has("postgresql") {
                _ = reader.value("postgresql")
                reader.report("postgresql", "this version keeps its data in SQLite; use {\"sqlite\":{\"path\":\"…\"}}")
            }
            return reader.object("sqlite") { $0.file("path") } ?? reader.document.resolve("farbell.sqlite")
        } ?? reader.document.resolve("farbell.sqlite")
    }
}
