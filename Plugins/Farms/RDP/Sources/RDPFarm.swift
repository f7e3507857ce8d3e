package import Base
internal import Cryptography
internal import FarmTools
package import Gateway

/// Farms reached by RDP: Windows RemoteApps behind a broker, or xrdp.
package struct RDPPlugin: FarmPlugin {
    package init() {}

    package var kind: String { "rdp" }

    package func configure(farm: FarmID, _ reader: ConfigReader, _ context: PluginContext) -> (any Farm)? {
        let address = reader.string("address")
        let gateway = reader.optionalString("gateway")
        let loadBalanceInfo = reader.line("loadBalanceInfo")
        let domain = reader.line("domain")
        if let fault = Self.fault(inAddress: address), !address.isEmpty { reader.report("address", fault) }
        if let gateway, let fault = Self.fault(inAddress: gateway) { reader.report("gateway", fault) }
        if let domain, domain.contains("\\") { reader.report("domain", "must not contain a backslash") }
        let signer = reader.object("sign") { Self.signer($0) } ?? nil
        return RDPFarm(
            place: RDPPlace(address: address, gateway: gateway, loadBalanceInfo: loadBalanceInfo, domain: domain),
            signer: signer)
    }

    /// Host names, IPv4 addresses and IPv6 addresses in brackets, with or without a port.
    private static func fault(inAddress text: String) -> String? {
        (try? WebAddress("https://\(text)")) != nil && !text.contains { $0 == "/" || $0 == "?" }
            ? nil : "expected a host or host:port"
    }

    private static func signer(_ reader: ConfigReader) -> DetachedSigner? {
        let certificate = contents(reader, "certificate")
        let key = contents(reader, "key")
        guard let certificate, let key else { return nil }
        do {
            return try DetachedSigner(certificatePEM: certificate, keyPEM: Secret(bytes: key))
        } catch {
            reader.report("certificate", "certificate and key cannot be used to sign: \(error.message)")
            return nil
        }
    }

    private static func contents(_ reader: ConfigReader, _ key: String) -> [UInt8]? {
        let given = reader.string(key)
        guard !given.isEmpty else { return nil }
        let path = reader.document.resolve(given)
        if let bytes = FileSystem.contents(of: path, limit: 1 << 20) { return bytes }
        reader.report(key, "cannot read the file '\(path)': \(FileSystem.lastError)")
        return nil
    }
}

extension ConfigReader {
    /// A string that becomes part of a line of an `.rdp` file (optional).
    func line(_ key: String) -> String? {
        guard let text = optionalString(key) else { return nil }
        if text.isEmpty { report(key, "must not be empty") }
        if !RDPSettings.isLine(text) { report(key, "must not contain control characters or line breaks") }
        return text
    }
}

/// Where a farm is.
struct RDPPlace: Sendable, Hashable {
    /// `host` or `host:port` of the broker or session host.
    let address: String
    let gateway: String?
    /// Routes to the collection behind a broker.
    let loadBalanceInfo: String?
    /// Written before account names that have none.
    let domain: String?
}

/// One RDP farm. Launching is writing a file, or a URI for platforms whose client takes one.
package struct RDPFarm: Farm {
    let place: RDPPlace
    let signer: DetachedSigner?

    /// Platforms whose Remote Desktop client opens `rdp://` URIs and cannot easily be handed a file.
    static let uriPlatforms: Set<String> = ["ios", "android", "macos"]

    package func target(app: AppID, _ reader: ConfigReader?, parent: ConfigReader) -> (any LaunchTarget)? {
        guard let reader else {
            parent.report(nil, "the key 'launch' is missing: it says which program of the farm the app is")
            return nil
        }
        let (program, shell) = (reader.line("program"), reader.line("shell"))
        let (arguments, directory) = (reader.line("arguments"), reader.line("workingDirectory"))
        let name = reader.line("name")
        for (key, text) in [("arguments", arguments), ("shell", shell)] {
            if let text, let fault = RDPTarget.fault(inTemplate: text) { reader.report(key, fault) }
        }
        switch (program, shell) {
        case (let program?, nil):
            return RDPTarget(
                start: .remoteApp(program: program, arguments: arguments ?? ""), name: name, directory: directory)
        case (nil, let shell?):
            if arguments != nil { reader.report("arguments", "belongs to 'program'; write it into 'shell'") }
            return RDPTarget(start: .shell(shell), name: name, directory: directory)
        case (nil, nil): reader.report(nil, "expected 'program' (a RemoteApp) or 'shell' (a command, for xrdp)")
        case (_?, _?): reader.report("shell", "give 'program' (a RemoteApp) or 'shell' (for xrdp), not both")
        }
        return nil
    }

    /// The file of a RemoteApp for a client that keeps it: without a ticket, and never with a password.
    package func feedFile(
        _ target: any LaunchTarget, account: AccountID, app: AppID, name: String
    ) throws -> [UInt8]? {
        guard let target = target as? RDPTarget else { return nil }
        let request = LaunchRequest(
            launch: "", ticket: Secret(""), account: account, device: "", platform: "feed", app: app, appName: name,
            message: nil, item: nil)
        return try target.settings(at: place, for: request).file(signer: signer)
    }

    package func launch(_ target: any LaunchTarget, _ request: LaunchRequest) async throws -> LaunchAction {
        guard let target = target as? RDPTarget else {
            throw GatewayError(.farmUnavailable, "the app's launch target was made by another farm")
        }
        let settings = try target.settings(at: place, for: request)
        if Self.uriPlatforms.contains(request.platform.lowercased()) { return .url(settings.uri) }
        do {
            let body = try settings.file(signer: signer)
            return .file(contentType: "application/x-rdp", name: "\(request.app).rdp", body: body)
        } catch {
            throw GatewayError(.farmUnavailable, "the .rdp file could not be signed: \(error.message)")
        }
    }
}
