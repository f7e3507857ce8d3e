package import Base
package import Gateway
package import Outbound

/// What commands need of the world: plugins, environment, where they print.
package struct Environment: Sendable {
    /// The plugins this program was built with.
    package let plugins: PluginCatalog
    package let variables: [String: String]
    package let time: any TimeSource
    /// Writes a line for the person who typed the command.
    package let print: @Sendable (String) -> Void
    /// Writes a line about what went wrong.
    package let complain: @Sendable (String) -> Void

    package init(
        plugins: PluginCatalog, variables: [String: String],
        time: any TimeSource = SystemTime(), print: @escaping @Sendable (String) -> Void,
        complain: @escaping @Sendable (String) -> Void
    ) {
        (self.plugins, self.variables, self.time) = (plugins, variables, time)
        (self.print, self.complain) = (print, complain)
    }

    /// Reads a configuration without starting anything.
    /// - Throws: `ConfigError`.
    package func load(_ file: String, http: HTTPClient, log: Log) throws -> DaemonConfiguration {
        let context = PluginContext(transport: http, time: time, log: log)
        return try DaemonConfiguration.load(file, environment: variables, plugins: plugins, context: context)
    }
}

/// The version of this program.
package enum Version {
    package static let number = "0.1.0"
}
