package import Base
package import Gateway

/// Farms whose apps are started by opening a URL: a web portal, or a client that has a scheme of its own.
package struct LinkPlugin: FarmPlugin {
    package init() {}

    package var kind: String { "link" }

    package func configure(farm: FarmID, _ reader: ConfigReader, _ context: PluginContext) -> (any Farm)? {
        let schemes = LinkTemplate.webSchemes + Self.customSchemes(reader)
        let template = Self.template(reader, "url", reader.string("url"), schemes: schemes)
        return template.map { LinkFarm(template: $0, schemes: schemes) }
    }

    /// The schemes the operator allows beyond `https` and `http`.
    private static func customSchemes(_ reader: ConfigReader) -> [String] {
        reader.strings("schemes").compactMap { name in
            let scheme = name.lowercased()
            if LinkTemplate.isAllowable(scheme: scheme) { return scheme }
            reader.report(
                "schemes", "'\(name)' is not the name of a scheme, such as 'myapp', or runs code in a browser")
            return nil
        }
    }

    /// Reads a template and reports its fault.
    fileprivate static func template(
        _ reader: ConfigReader, _ key: String, _ text: String, schemes: [String]
    ) -> LinkTemplate? {
        guard !text.isEmpty else { return nil }
        do {
            return try LinkTemplate(text, schemes: schemes)
        } catch {
            reader.report(key, error.message)
            return nil
        }
    }
}

/// One farm of URLs. Launching is filling in a template.
package struct LinkFarm: Farm {
    /// Bytes of the longest URL handed to a device: what browsers and intents take without trouble.
    package static let sizeLimit = 8192

    let template: LinkTemplate
    let schemes: [String]

    package func target(app: AppID, _ reader: ConfigReader?, parent: ConfigReader) -> (any LaunchTarget)? {
        guard let reader else { return LinkTarget(template: template) }
        let url = reader.optionalString("url")
        let path = reader.optionalString("path")
        if url != nil, path != nil {
            reader.report("path", "give 'url' for another address or 'path' for another place at the farm, not both")
            return nil
        }
        if let url { return target(reader, "url", url) }
        guard let path else { return LinkTarget(template: template) }
        guard path.hasPrefix("/") else {
            reader.report("path", "must start with '/'")
            return nil
        }
        return target(reader, "path", template.origin + path)
    }

    private func target(_ reader: ConfigReader, _ key: String, _ text: String) -> LinkTarget? {
        LinkPlugin.template(reader, key, text, schemes: schemes).map(LinkTarget.init)
    }

    package func launch(_ target: any LaunchTarget, _ request: LaunchRequest) async throws -> LaunchAction {
        guard let target = target as? LinkTarget else {
            throw GatewayError(.farmUnavailable, "the app's launch target was made by another farm")
        }
        let url = target.template.filled(for: request)
        guard url.utf8.count <= Self.sizeLimit else {
            throw GatewayError(.farmUnavailable, "the launch URL would be longer than \(Self.sizeLimit) bytes")
        }
        return .url(url)
    }
}

/// Where one app is on a link farm.
package struct LinkTarget: LaunchTarget {
    let template: LinkTemplate
}
