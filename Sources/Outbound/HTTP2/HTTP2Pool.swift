internal import Base
internal import CCurl

/// The HTTP/2 connections of one pool: does what its machine says. libcurl makes the connections, nghttp2 speaks on
/// them. Used on the loop's thread only.
final class HTTP2Pool {
    /// Who hears of what becomes of the requests.
    struct Reports {
        let ended: (HTTPOrder, Result<HTTPResponse, any Error>) -> Void
        /// The server does not speak HTTP/2, and the request may go by HTTP/1.1.
        let isPlain: (HTTPOrder) -> Void
        /// A connection has been made.
        let opened: () -> Void
    }

    private let key: PoolKey
    private let configuration: HTTPClient.Configuration
    private let multi: CurlMulti
    private let loop: EventLoop
    private let buffer: HTTP2Buffer
    private let plainServers: PlainServers
    private let reports: Reports
    /// The proxy itself is spoken to over TLS: libcurl does not say whose handshake it is, so that HTTP/2 would be offered
    /// to the proxy as well.
    private let isBehindTLS: Bool
    private var machine: HTTP2PoolMachine
    private var places = HTTP2Places()
    private var dials: [Int: HTTP2Dial] = [:]
    private var connections: [Int: HTTP2Connection] = [:]
    private var exchanges: [UInt64: HTTP2Exchange] = [:]
    private var rounds = Rounds<HTTP2PoolMachine.Action>()

    init(
        _ key: PoolKey, _ configuration: HTTPClient.Configuration, multi: CurlMulti, loop: EventLoop,
        buffer: HTTP2Buffer, plainServers: PlainServers, reports: Reports
    ) {
        (self.key, self.configuration, self.multi, self.loop) = (key, configuration, multi, loop)
        (self.buffer, self.plainServers, self.reports) = (buffer, plainServers, reports)
        isBehindTLS = key.destination == .any && configuration.proxy?.lowercased().hasPrefix("https:") == true
        machine = HTTP2PoolMachine(
            limits: HTTP2PoolMachine.Limits(
                connectionsPerPlace: configuration.connectionsPerHost, connections: configuration.connectionsPerPool,
                streams: configuration.streamsPerConnection, idleAge: HTTPClient.idleConnectionAge,
                lifetime: HTTPClient.connectionLifetime))
    }

    /// No request waits or is under way.
    var isIdle: Bool { exchanges.isEmpty }
    /// Handles of ours in the multi handle.
    var handleCount: Int { dials.count + connections.count }

    // MARK: Requests

    /// Takes a request; false for one that is libcurl's.
    func take(_ order: HTTPOrder) -> Bool {
        guard order.mayMultiplex, !isBehindTLS, let target = HTTP2Target(order.request.url),
            key.http2Only || !plainServers.contains(target.authority)
        else { return false }
        let place = places.number(of: HTTP2Place(order.request, target)) { machine.uses($0) }
        let exchange = HTTP2Exchange(order, target)
        exchanges[order.id] = exchange
        perform(machine.submit(order.id, place: place, proves: order.request.provesConnections, now: loop.now))
        return true
    }

    /// Nobody wants the answer any more; false for a request that is not here.
    func cancel(_ id: UInt64) -> Bool {
        guard let exchange = exchanges[id] else { return false }
        forget(exchange)
        if let number = machine.connection(of: id) { connections[number]?.cancel(exchange) }
        perform(machine.ended(id, isProof: false, now: loop.now))
        return true
    }

    /// Ends the requests whose time is over, and asks connections for a sign of life.
    /// - Returns: when to look again; nil with nobody here.
    func look(at now: Moment) -> Moment? {
        let late = exchanges.values.filter { $0.order.deadline <= now }.sorted { $0.order.id < $1.order.id }
        for exchange in late where cancel(exchange.order.id) {
            let error = HTTPTransportError(
                .timeout, "no answer in the request's time", surelyNotProcessed: !exchange.hasBegun)
            reports.ended(exchange.order, .failure(error))
        }
        let next = connections.values.compactMap { $0.check(at: now) }
        return (next + exchanges.values.map(\.order.deadline)).min()
    }

    /// Those that are under way end where they are; whatever else there is gets new connections.
    func retire() { perform(machine.retire(now: loop.now)) }

    /// Ends everything.
    func shutDown() {
        let left = exchanges.values.sorted { $0.order.id < $1.order.id }
        for exchange in left { forget(exchange) }
        for connection in connections.values {
            connection.close()
            multi.remove(connection.dial)
        }
        for dial in dials.values { multi.remove(dial) }
        (connections, dials) = ([:], [:])
        rounds.clear()
        for exchange in left {
            let error = HTTPTransportError(.stopped, "the client stopped", surelyNotProcessed: !exchange.hasBegun)
            reports.ended(exchange.order, .failure(error))
        }
    }

    private func forget(_ exchange: HTTP2Exchange) { exchanges[exchange.order.id] = nil }

    private func fail(_ id: UInt64, _ error: HTTPTransportError) {
        guard let exchange = exchanges[id] else { return }
        forget(exchange)
        reports.ended(exchange.order, .failure(error))
    }

    // MARK: What connections tell

    /// A stream has ended.
    func ended(_ exchange: HTTP2Exchange, _ end: HTTP2Exchange.End) {
        let id = exchange.order.id
        guard exchanges[id] === exchange else { return }
        switch end {
        case .answered:
            let response = exchange.response
            forget(exchange)
            perform(machine.ended(id, isProof: (200..<300).contains(response.status), now: loop.now))
            reports.ended(exchange.order, .success(response))
        case .refused:
            exchange.restart()
            exchange.hasBegun = false
            perform(machine.refused(id, now: loop.now))
        case .broken where exchange.isSafe && !exchange.hasAnswer:
            // Asking again does no harm.
            exchange.restart()
            perform(machine.refused(id, now: loop.now))
        case .broken:
            let failure = exchange.failure
            forget(exchange)
            perform(machine.ended(id, isProof: false, now: loop.now))
            reports.ended(exchange.order, .failure(failure))
        }
    }

    func allowed(_ connection: HTTP2Connection, streams: Int) {
        perform(machine.allowed(connection.number, streams: streams, now: loop.now))
    }

    func leaving(_ connection: HTTP2Connection) { perform(machine.leaving(connection.number, now: loop.now)) }

    /// The connection has ended, and with it what was under way.
    func lost(_ connection: HTTP2Connection) {
        guard connections.removeValue(forKey: connection.number) != nil else { return }
        let broken = connection.close().sorted { $0.order.id < $1.order.id }
        multi.remove(connection.dial)
        perform(machine.lost(connection.number, now: loop.now))
        for exchange in broken { ended(exchange, .broken) }
    }

    // MARK: Doing

    private func perform(_ actions: [HTTP2PoolMachine.Action]) {
        guard rounds.add(actions) else { return }
        while let round = rounds.next() {
            for action in round { perform(action) }
        }
    }

    private func perform(_ action: HTTP2PoolMachine.Action) {
        switch action {
        case .dial(let number, let place): dial(number, place)
        case .send(let id, let number): send(id, number)
        case .close(let number):
            guard let connection = connections.removeValue(forKey: number) else { return }
            connection.close()
            multi.remove(connection.dial)
        case .giveUp(let id):
            let begun = exchanges[id]?.hasBegun ?? false
            fail(
                id,
                HTTPTransportError(
                    .connectionLost, "refused or cut off again and again", surelyNotProcessed: !begun))
        }
    }

    private func send(_ id: UInt64, _ number: Int) {
        guard let exchange = exchanges[id], let connection = connections[number] else { return }
        do {
            try connection.send(exchange)
        } catch {
            let failure =
                error as? HTTPTransportError
                ?? HTTPTransportError(
                    .protocolError, (error as? HTTP2Session.Failure)?.text ?? "\(error)",
                    surelyNotProcessed: !exchange.hasBegun)
            forget(exchange)
            perform(machine.ended(id, isProof: false, now: loop.now))
            reports.ended(exchange.order, .failure(failure))
        }
    }

    private func dial(_ number: Int, _ place: Int) {
        guard let site = places.place(place) else { return }
        do {
            var request = site.request
            (request.version, request.destination) = (key.http2Only ? .http2 : .automatic, key.destination)
            let dial = try HTTP2Dial(request, configuration) { [unowned self] in
                dialed(number, site, $0, $1)
            }
            dials[number] = dial
            try multi.add(dial)
        } catch {
            dials[number] = nil
            let code = (error as? CurlFailure)?.code ?? CURLE_FAILED_INIT
            failed(number, HTTPFailure.error(code, HTTPFailure.Circumstances()))
        }
    }

    private func dialed(_ number: Int, _ site: HTTP2Place, _ dial: HTTP2Dial, _ code: CURLcode) {
        guard dials.removeValue(forKey: number) != nil else { return }
        let descriptor = unsafe farbell_easy_active_socket(dial.easy.handle)
        guard code == CURLE_OK, descriptor >= 0 else {
            multi.remove(dial)
            return failed(number, dial.failure(code == CURLE_OK ? CURLE_COULDNT_CONNECT : code))
        }
        reports.opened()
        let early: Int
        switch dial.claim(buffer) {
        case .bytes(let count): early = count
        case .failed(let code):
            multi.remove(dial)
            return failed(number, dial.failure(code))
        }
        guard unsafe farbell_easy_negotiated_http2(dial.easy.handle) != 0 else {
            multi.remove(dial)
            return isPlain(number, site)
        }
        do {
            let connection = try HTTP2Connection(
                number, dial, descriptor: descriptor, configuration, buffer: buffer, loop: loop, pool: self)
            connections[number] = connection
            connection.begin(early)
            perform(machine.opened(number, now: loop.now))
        } catch {
            multi.remove(dial)
            failed(number, HTTPFailure.error(CURLE_OUT_OF_MEMORY, HTTPFailure.Circumstances()))
        }
    }

    private func failed(_ number: Int, _ error: HTTPTransportError) {
        for id in machine.failed(number) { fail(id, error) }
    }

    /// The server speaks HTTP/1.1 alone: libcurl's matter, unless HTTP/2 is asked for.
    private func isPlain(_ number: Int, _ site: HTTP2Place) {
        guard !key.http2Only else { return failed(number, HTTPFailure.noHTTP2) }
        plainServers.insert(site.authority)
        for id in machine.failed(number) {
            guard let exchange = exchanges[id] else { continue }
            forget(exchange)
            reports.isPlain(exchange.order)
        }
    }
}
