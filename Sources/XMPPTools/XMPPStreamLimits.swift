package import XML

/// What is taken of a server's stream.
package enum XMPPStreamLimits {
    /// What a server's stanza may be. Servers bound what people send (Prosody and ejabberd: 256 KiB, 512 KiB between
    /// servers), so that these bounds are for the server itself. A bound that somebody's message could pass would be a
    /// way to end the stream for all: what is odd but allowed is pruned instead (`kept`).
    package static var bytes: XMLLimits {
        var limits = XMLLimits.stream(childBytes: 1 << 20)
        limits.tokenBytes = 768 << 10
        limits.nodes = 1 << 19
        limits.depth = 1 << 18
        limits.attributes = 1 << 17
        limits.nameBytes = 768 << 10
        limits.names = 1 << 17
        return limits
    }

    /// What of a stanza is kept: many times what any message that is looked at has.
    package static let kept = XMLTreeBuilder.Bounds(depth: 16, nodes: 1000, attributes: 24)
}
