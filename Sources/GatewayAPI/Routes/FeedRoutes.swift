internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// A feed of the account's remote apps, to which Microsoft's Remote Desktop clients subscribe (MS-TSWP).
    mutating func addFeed() {
        let context = context
        let (gateway, base) = (context.gateway, context.options.publicURL)
        basic("GET", WorkspaceFeed.path) { request, account in
            let isNew = request.headers["Accept"]?.contains("radc_schema_version=2") == true
            let apps = try gateway.feedApps(of: account.id).map(\.app)
            return InboundResponse(
                status: 200, contentType: isNew ? "application/x-msts-radc+xml" : "text/xml; charset=utf-8",
                headers: ["Cache-Control": "no-store"],
                body: WorkspaceFeed.document(
                    apps, base: base, schema: isNew ? "2.0" : "1.1", at: gateway.time.timestamp))
        }
        basic("GET", "/RDWeb/Feed/apps/{app}") { request, account in
            let name = request.parameters["app"] ?? ""
            guard name.hasSuffix(".rdp"),
                let entry = try gateway.feedApps(of: account.id).first(where: { $0.app.id.text + ".rdp" == name })
            else { throw GatewayError(.notFound, "there is nothing at this path") }
            return InboundResponse(
                status: 200, contentType: "application/x-rdp", headers: ["Cache-Control": "no-store"], body: entry.file)
        }
    }
}

extension Gateway {
    /// The apps that a client can keep a file of.
    fileprivate func feedApps(of account: AccountID) throws -> [(app: App, file: [UInt8])] {
        try registrations.allApps.compactMap { app in
            guard let farm = app.farmLink, let target = app.launch,
                let file = try farm.feedFile(target, account: account, app: app.id, name: app.name)
            else { return nil }
            return (app, file)
        }
    }
}

/// The feed's document ([MS-TSWP] section 2.2, schema versions 1.1 and 2.0).
enum WorkspaceFeed {
    static let path = "/RDWeb/Feed/webfeed.aspx"

    static func document(_ apps: [App], base: String, schema: String, at now: Timestamp) -> [UInt8] {
        let (time, host) = (now.description, escaped(base))
        // Schema 1.1 knows no folders ([MS-TSWP] 4.1.1 beside 4.2.2).
        let folders = schema == "1.1" ? "" : #"<Folders><Folder Name="/"/></Folders>"#
        let resources = apps.map { app in
            let (id, name) = (escaped(app.id.text), escaped(app.name))
            return """
                <Resource ID="\(id)" Alias="\(id)" Title="\(name)" LastUpdated="\(time)" Type="RemoteApp"><Icons/>\
                <FileExtensions/>\(folders)<HostingTerminalServers><HostingTerminalServer>\
                <ResourceFile FileExtension=".rdp" URL="\(host)/RDWeb/Feed/apps/\(escaped(app.id.text.percentEncoded())).rdp"/>\
                <TerminalServerRef Ref="farbell"/></HostingTerminalServer></HostingTerminalServers></Resource>
                """
        }
        let text = """
            <?xml version="1.0" encoding="utf-8"?>
            <ResourceCollection PubDate="\(time)" SchemaVersion="\(schema)" \
            xmlns="http://schemas.microsoft.com/ts/2007/05/tswf"><Publisher LastUpdated="\(time)" Name="Farbell" \
            ID="\(host)" Description=""><Resources>\(resources.joined())</Resources><TerminalServers>\
            <TerminalServer ID="farbell" Name="\(host)" LastUpdated="\(time)"/></TerminalServers></Publisher>\
            </ResourceCollection>
            """
        return Array(text.utf8)
    }

    /// For an attribute's value; control characters, which XML 1.0 cannot have, are left out.
    private static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars where scalar.value >= 0x20 && scalar.value != 0xFFFE && scalar.value != 0xFFFF
        {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
