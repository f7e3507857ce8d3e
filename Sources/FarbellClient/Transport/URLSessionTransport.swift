#if canImport(FoundationNetworking)
    internal import Foundation
    public import FoundationNetworking
#else
    public import Foundation
#endif

/// The transport over `URLSession`, on Linux and on Apple's systems.
///
/// One session, so that connections are reused. It follows no redirect: the token belongs to the server it was
/// given for.
public final class URLSessionTransport: FarbellTransport {
    /// Connections to one server at one time. Every running long poll and stream has one of its own; the
    /// system's default of six would let them keep everything else waiting.
    public static let connectionsPerServer = 64

    /// For all clients that are not given another.
    public static let shared = URLSessionTransport()

    private let session: URLSession
    private let inbox: URLSessionInbox

    /// - Parameter configuration: such as one with a proxy; caches and cookies are switched off in a copy of it.
    public init(configuration: URLSessionConfiguration = .ephemeral) {
        // A copy: the caller's own object stays as it is.
        let copy = configuration.copy() as? URLSessionConfiguration ?? configuration
        copy.urlCache = nil
        copy.requestCachePolicy = .reloadIgnoringLocalCacheData
        copy.httpCookieStorage = nil
        copy.httpShouldSetCookies = false
        copy.urlCredentialStorage = nil
        copy.httpMaximumConnectionsPerHost = Self.connectionsPerServer
        inbox = URLSessionInbox()
        // One operation at a time: pieces of a body arrive in their order.
        let queue = OperationQueue()
        queue.maxConcurrentOperationCount = 1
        session = URLSession(configuration: copy, delegate: inbox, delegateQueue: queue)
    }

    deinit { session.invalidateAndCancel() }

    /// Sends a request; see `FarbellTransport`.
    public func open(_ request: TransportRequest) async throws -> any TransportAnswer {
        try Task.checkCancellation()
        var message = URLRequest(url: request.url)
        message.httpMethod = request.method
        message.timeoutInterval = request.silence.inSeconds
        for (name, value) in request.headers { message.setValue(value, forHTTPHeaderField: name) }
        message.httpBody = request.body
        let task = session.dataTask(with: message)
        let body = AnswerBody(limit: request.waitingLimit)
        inbox.expect(task, body)
        return try await withTaskCancellationHandler {
            task.resume()
            do {
                let head = try await body.head()
                return URLSessionAnswer(task: task, head: head, body: body)
            } catch {
                task.cancel()
                throw error
            }
        } onCancel: {
            task.cancel()
        }
    }
}

/// One answer over `URLSession`.
private final class URLSessionAnswer: TransportAnswer {
    private let task: URLSessionDataTask
    private let head: AnswerBody.Head
    private let body: AnswerBody

    init(task: URLSessionDataTask, head: AnswerBody.Head, body: AnswerBody) {
        (self.task, self.head, self.body) = (task, head, body)
    }

    deinit { close() }

    var status: Int { head.status }
    subscript(header: String) -> String? { head.headers[header.lowercased()] }

    func next() async throws -> [UInt8]? {
        try await withTaskCancellationHandler {
            try await body.next()
        } onCancel: {
            close()
        }
    }

    func close() {
        body.drop()
        task.cancel()
    }
}

/// Sorts what the session reports by its tasks.
private final class URLSessionInbox: NSObject, URLSessionDataDelegate {
    private let bodies = Guarded<[Int: AnswerBody]>([:])

    func expect(_ task: URLSessionTask, _ body: AnswerBody) { bodies.withLock { $0[task.taskIdentifier] = body } }

    private func body(of task: URLSessionTask) -> AnswerBody? { bodies.withLock { $0[task.taskIdentifier] } }

    func urlSession(
        _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
        completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
    ) {
        guard let response = response as? HTTPURLResponse, let body = body(of: dataTask) else {
            return completionHandler(.cancel)
        }
        var headers: [String: String] = [:]
        for (name, value) in response.allHeaderFields {
            if let name = name as? String, let value = value as? String { headers[name.lowercased()] = value }
        }
        body.begin(AnswerBody.Head(status: response.statusCode, headers: headers))
        completionHandler(.allow)
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        // Suspending the task would be gentler, but on Linux that ends its connection.
        if body(of: dataTask)?.append([UInt8](data)) != true { dataTask.cancel() }
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        let body = bodies.withLock { $0.removeValue(forKey: task.taskIdentifier) }
        body?.end(error.map(Self.failure))
    }

    func urlSession(
        _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
        newRequest request: URLRequest, completionHandler: @escaping (URLRequest?) -> Void
    ) {
        completionHandler(nil)
    }

    private static func failure(_ error: any Error) -> any Error {
        switch (error as? URLError)?.code {
        case .cancelled: CancellationError()
        case .timedOut:
            FarbellError(.timedOut, "Nothing came from the server for too long.", underlying: error)
        default:
            FarbellError(
                .connectionFailed, "The server cannot be reached, or the connection broke.", underlying: error)
        }
    }
}
