internal import Base
internal import Inbound

/// The phone: takes pushes over a webhook, as a self-made device would.
struct DemoPhone: RequestHandler {
    let pushes: AsyncStream<JSON>
    private let sink: AsyncStream<JSON>.Continuation

    init() { (pushes, sink) = AsyncStream.makeStream() }

    func answer(_ request: InboundRequest) throws -> Answer {
        if let push = try? JSONParser.parse(request.body) { sink.yield(push) }
        return .now(.empty())
    }
}
