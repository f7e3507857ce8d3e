internal import Base

/// Finds the handler of a request by its path and method: one dictionary look-up for each segment.
///
/// A literal segment goes before a `{name}`; a path may have both. `{name...}` at a pattern's end stands for one segment
/// or more, joined by slashes, where nothing else fits. `HEAD` is answered by the `GET` route
/// (the server drops the body). Unknown path: 404 `not_found`; known path, other method: 405
/// `method_not_allowed` with `Allow`.
package struct Router: RequestHandler {
    /// Answers one route.
    package typealias Route = @Sendable (InboundRequest) throws -> Answer

    private struct Target: Sendable {
        let parameterNames: [String]
        let route: Route
    }

    private struct Node: Sendable {
        var literals: [String: Int] = [:]
        var parameter: Int?
        var rest: Int?
        var targets: [String: Target] = [:]
    }

    /// Nodes refer to each other by index, so that the router stays a value.
    private var nodes = [Node()]

    package init() {}

    /// Adds a route that chooses itself between `.now` and `.later`.
    /// - Parameters:
    ///   - method: in capitals.
    ///   - pattern: a path such as `/v1/devices/{id}/test`; names must differ.
    /// - Precondition: no other route has this method and, names aside, this pattern.
    package mutating func add(_ method: String, _ pattern: String, _ route: @escaping Route) {
        precondition(pattern.first == "/", "a route's path starts with a slash")
        var names: [String] = []
        var current = 0
        for segment in pattern.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        where pattern != "/" {
            if segment.hasPrefix("{") && segment.hasSuffix("...}") {
                names.append(String(segment.dropFirst().dropLast(4)))
                current = nodes[current].rest ?? addNode { nodes, new in nodes[current].rest = new }
            } else if segment.first == "{" && segment.last == "}" {
                names.append(String(segment.dropFirst().dropLast()))
                current = nodes[current].parameter ?? addNode { nodes, new in nodes[current].parameter = new }
            } else {
                let text = String(segment)
                current = nodes[current].literals[text] ?? addNode { nodes, new in nodes[current].literals[text] = new }
            }
        }
        precondition(Set(names).count == names.count, "a route's names differ")
        precondition(nodes[current].targets[method] == nil, "one handler for each route")
        nodes[current].targets[method] = Target(parameterNames: names, route: route)
    }

    /// Adds a route that is answered in place, on the server's thread: it must not wait.
    package mutating func addNow(
        _ method: String, _ pattern: String, _ respond: @escaping @Sendable (InboundRequest) throws -> InboundResponse
    ) {
        add(method, pattern) { .now(try respond($0)) }
    }

    /// Adds a route that is answered in a task.
    package mutating func addLater(
        _ method: String, _ pattern: String,
        _ respond: @escaping @Sendable (InboundRequest) async throws -> InboundResponse
    ) {
        add(method, pattern) { request in .later { try await respond(request) } }
    }

    package func answer(_ request: InboundRequest) throws -> Answer {
        let segments = request.segments
        var values: [String] = []
        var allowed: Set<String> = []
        if let target = find(request.method, segments, 0, at: 0, &values, &allowed) {
            if values.isEmpty { return try target.route(request) }
            var matched = request
            matched.parameters = PathParameters(names: target.parameterNames, values: values)
            return try target.route(matched)
        }
        if allowed.isEmpty { throw Problem(404, "not_found", "There is nothing at this path.") }
        if allowed.contains("GET") { allowed.insert("HEAD") }
        throw Problem(
            405, "method_not_allowed", "This path does not know the method.",
            headers: ["Allow": allowed.sorted().joined(separator: ", ")])
    }

    /// Walks literals first and comes back for the parameter: both `/a/b/c` and `/a/{x}/d` may exist.
    private func find(
        _ method: String, _ segments: [String], _ depth: Int, at index: Int, _ values: inout [String],
        _ allowed: inout Set<String>
    ) -> Target? {
        if depth == segments.count {
            let targets = nodes[index].targets
            if let target = targets[method] ?? (method == "HEAD" ? targets["GET"] : nil) { return target }
            allowed.formUnion(targets.keys)
            return nil
        }
        let segment = segments[depth]
        if let next = nodes[index].literals[segment],
            let target = find(method, segments, depth + 1, at: next, &values, &allowed)
        {
            return target
        }
        // An empty segment (`/v1/devices/`) is no name of anything.
        guard !segment.isEmpty else { return nil }
        if let next = nodes[index].parameter {
            values.append(segment)
            if let target = find(method, segments, depth + 1, at: next, &values, &allowed) { return target }
            values.removeLast()
        }
        guard let next = nodes[index].rest else { return nil }
        values.append(segments[depth...].joined(separator: "/"))
        if let target = find(method, segments, segments.count, at: next, &values, &allowed) { return target }
        values.removeLast()
        return nil
    }

    private mutating func addNode(_ link: (inout [Node], Int) -> Void) -> Int {
        nodes.append(Node())
        link(&nodes, nodes.count - 1)
        return nodes.count - 1
    }
}
