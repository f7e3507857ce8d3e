internal import Base

/// One HTTP/1.1 connection: requests one after the other, with bodies by length or in chunks.
final class HTTP1Server: PeerHandler {
    private unowned let connection: PeerConnection
    private let options: HTTPPeer.Options
    private let counter: Locked<HTTPPeer.Counts>
    private let responder: HTTPPeer.Responder
    private var parser = HTTP1Parser()
    /// A request is being answered, with a delay or never: the next one waits.
    private var busy = false
    /// An answer under way that goes on.
    private var stream: PeerStream?

    init(
        _ connection: PeerConnection, options: HTTPPeer.Options, counter: Locked<HTTPPeer.Counts>,
        responder: @escaping HTTPPeer.Responder
    ) {
        (self.connection, self.options, self.counter, self.responder) = (connection, options, counter, responder)
    }

    func opened() {}
    func closed() {
        stream?.detach()
        stream = nil
    }

    func received(_ bytes: [UInt8]) {
        parser.feed(bytes)
        proceed()
    }

    private func proceed() {
        while !busy, !connection.isClosed {
            switch parser.next(bodyLimit: options.bodyLimit) {
            case .incomplete: return
            case .expectsContinue: connection.send("HTTP/1.1 100 Continue\r\n\r\n")
            case .malformed:
                connection.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return connection.close()
            case .request(let head, let body):
                counter.withLock { $0.requests += 1 }
                let request = PeerRequest(
                    method: head.method, path: head.path, headers: head.headers, body: body,
                    received: options.time.now, connection: connection.number, stream: 0,
                    clientName: connection.clientName)
                handle(request, closes: head.headers["Connection"]?.lowercased() == "close")
            }
        }
    }

    private func handle(_ request: PeerRequest, closes: Bool) {
        let reply = responder(request)
        busy = true
        guard reply.delay > .zero else { return perform(reply, closes: closes) }
        connection.loop.hold(reply) { [weak self] isWoken in
            guard let self, !connection.isClosed else { return }
            if isWoken {
                handle(request, closes: closes)
            } else {
                perform(reply, closes: closes)
            }
            proceed()
        }
    }

    private func perform(_ reply: PeerReply, closes: Bool) {
        guard !connection.isClosed else { return }
        switch reply.action {
        case .answer(let status, let headers, let body):
            busy = false
            let last = closes || reply.goAwayAfter != nil
            var bytes = Array("HTTP/1.1 \(status) \(Self.phrase(status))\r\n".utf8)
            for field in headers.fields { bytes.append(contentsOf: "\(field.name): \(field.value)\r\n".utf8) }
            if last { bytes.append(contentsOf: "Connection: close\r\n".utf8) }
            if status != 204 { bytes.append(contentsOf: "Content-Length: \(body.count)\r\n".utf8) }
            bytes.append(contentsOf: "\r\n".utf8)
            bytes.append(contentsOf: body)
            connection.send(bytes)
            if last { connection.close() }
        case .stream(let status, let headers, let stream):
            var text = "HTTP/1.1 \(status) \(Self.phrase(status))\r\n"
            for field in headers.fields { text += "\(field.name): \(field.value)\r\n" }
            connection.send(text + "Transfer-Encoding: chunked\r\n\r\n")
            self.stream = stream
            stream.attach(connection) { [weak self] in
                guard let self else { return }
                (self.stream, busy) = (nil, false)
                proceed()
            }
        case .hang: break
        case .rawBytes(let bytes):
            connection.send(bytes)
            connection.close()
        case .refuse, .reset, .drop: connection.abort()
        }
    }

    private static func phrase(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 201: "Created"
        case 204: "No Content"
        case 404: "Not Found"
        case 410: "Gone"
        case 429: "Too Many Requests"
        default: status < 400 ? "Fine" : "Refused"
        }
    }
}
