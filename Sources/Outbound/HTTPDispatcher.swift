internal import Base
internal import CCurl

/// libcurl's global set-up, once a process.
enum CurlGlobal {
    private static let once: Void = {
        let code = curl_global_init(Int(CURL_GLOBAL_DEFAULT))
        precondition(code == CURLE_OK, "libcurl does not start")
    }()

    static func initialize() { once }
}

/// Performs the scheduler's actions: each pool has its connections.
final class HTTPDispatcher: LoopTimer, @unchecked Sendable {
    // Sendable: everything in it is touched on the loop's thread alone; others only pass the reference.

    /// Easy handles kept for the next request.
    static let spareHandleLimit = 256
    /// How often waiting requests are checked for the end of their time.
    static let expiryInterval: Duration = .milliseconds(100)

    private let configuration: HTTPClient.Configuration
    private let loop: EventLoop
    private var scheduler: PoolScheduler
    private var pools: [PoolKey: PoolConnections] = [:]
    /// Those of pools that have new ones; each goes with its last request.
    private var retired: [PoolConnections] = []
    /// Accepted by the scheduler and without an answer.
    private var orders: [UInt64: HTTPOrder] = [:]
    private var transfers: [UInt64: HTTPTransfer] = [:]
    private var spares: [TransferProfile: [CurlEasy]] = [:]
    private var spareCount = 0
    private var rounds = Rounds<PoolScheduler.Action>()
    private lazy var streamDeadlines = StreamDeadlines(loop: loop)
    private let http2Buffer = HTTP2Buffer()
    private let plainServers = PlainServers()
    private var completed = 0
    private var opened = 0
    private var isShutDown = false

    init(_ configuration: HTTPClient.Configuration, loop: EventLoop) {
        self.configuration = configuration
        self.loop = loop
        scheduler = PoolScheduler(
            limits: PoolScheduler.Limits(
                runningPerPool: configuration.runningPerPool, waitingPerPool: configuration.waitingPerPool,
                streamsPerPool: configuration.streams, pools: configuration.pools))
        super.init()
        loop.post { loop.add(self) }
    }

    func submit(_ order: HTTPOrder) {
        guard !isShutDown else { return fail(order, HTTPClient.stopped) }
        // The cancellation may have come first.
        guard order.answer.isOpen else { return }
        orders[order.id] = order
        perform(scheduler.submit(order.id, order.key, deadline: order.deadline))
        scheduleExpiry()
    }

    /// The caller is gone; its answer is settled already.
    func cancel(_ order: HTTPOrder) {
        perform(scheduler.cancel(order.id))
        orders[order.id] = nil
        order.stream?.end(.failure(HTTPClient.stopped))
    }

    func report(_ statistics: inout HTTPClient.Statistics) {
        statistics.running = scheduler.running
        statistics.waiting = scheduler.waiting
        statistics.pools = scheduler.poolCount
        statistics.completedRequests = completed
        statistics.openedConnections = opened
    }

    /// Ends everything with `stopped`.
    func shutDown() {
        guard !isShutDown else { return }
        isShutDown = true
        for transfer in transfers.values {
            let seen = transfer.failure(CURLE_ABORTED_BY_CALLBACK)
            fail(
                transfer.order,
                HTTPTransportError(.stopped, "the client stopped", surelyNotProcessed: seen.surelyNotProcessed))
        }
        transfers = [:]
        let all = Array(pools.values) + retired
        (pools, retired) = ([:], [])
        for pool in all { pool.shutDown() }
        for order in orders.values { fail(order, HTTPClient.stopped) }
        orders = [:]
        spares = [:]
        loop.remove(self)
    }

    /// Looks for requests whose time is over: those that wait, and those on connections that are not libcurl's alone.
    override func fire() {
        let now = loop.now
        perform(scheduler.expire(now: now))
        for pool in Array(pools.values) + retired {
            if let next = pool.http2.look(at: now) { lookAgain(next) }
        }
        dropRetired()
        scheduleExpiry()
    }

    private func scheduleExpiry() {
        if scheduler.waiting > 0 { lookAgain(loop.now + Self.expiryInterval) }
    }

    /// Looks by `moment` at the latest.
    private func lookAgain(_ moment: Moment) {
        if deadline.map({ moment < $0 }) ?? true { deadline = moment }
    }

    private func perform(_ actions: [PoolScheduler.Action]) {
        guard rounds.add(actions) else { return }
        while let round = rounds.next() { performRound(round) }
    }

    private func performRound(_ actions: [PoolScheduler.Action]) {
        for action in actions {
            switch action {
            case .openPool(let key): openPool(key)
            case .closePool(let key): pools.removeValue(forKey: key)?.shutDown()
            case .start(let id, let key): start(id, key)
            case .refuse(let id):
                end(id, HTTPTransportError(.overloaded, "too many requests wait", surelyNotProcessed: true))
            case .expire(let id):
                end(id, HTTPTransportError(.timeout, "the time ended in the queue", surelyNotProcessed: true))
            case .abort(let id):
                if let transfer = transfers[id] {
                    recycle(transfer)
                } else {
                    cancelShared(id)
                }
            }
        }
    }

    private func openPool(_ key: PoolKey) {
        guard let multi = try? CurlMulti(loop: loop) else { return }
        multi.set(CURLMOPT_PIPELINING, Int(CURLPIPE_MULTIPLEX))
        multi.set(
            CURLMOPT_MAX_HOST_CONNECTIONS, key.isStream ? configuration.streams : configuration.connectionsPerHost)
        multi.set(
            CURLMOPT_MAX_TOTAL_CONNECTIONS, key.isStream ? configuration.streams : configuration.connectionsPerPool)
        multi.set(CURLMOPT_MAXCONNECTS, configuration.connectionsPerPool)
        multi.set(CURLMOPT_MAX_CONCURRENT_STREAMS, configuration.streamsPerConnection)
        let reports = HTTP2Pool.Reports(
            ended: { [unowned self] in ended($0, $1) }, isPlain: { [unowned self] in startAlone($0) },
            opened: { [unowned self] in opened += 1 })
        let http2 = HTTP2Pool(
            key, configuration, multi: multi, loop: loop, buffer: http2Buffer, plainServers: plainServers,
            reports: reports)
        pools[key] = PoolConnections(multi, http2)
    }

    /// Gives the pools of this name new connections.
    func retire(_ name: String) {
        for (key, pool) in pools where key.name == name {
            pools[key] = nil
            retired.append(pool)
            pool.http2.retire()
            openPool(key)
        }
        dropRetired()
    }

    /// Ends the connections of a pool that has new ones, when nobody is on them any more.
    private func dropRetired() {
        guard retired.contains(where: \.isIdle) else { return }
        let idle = retired.filter(\.isIdle)
        retired.removeAll(where: \.isIdle)
        for pool in idle { pool.shutDown() }
    }

    private func start(_ id: UInt64, _ key: PoolKey) {
        guard !isShutDown, let order = orders[id] else { return }
        guard order.deadline > loop.now else {
            end(id, HTTPTransportError(.timeout, "the time ended in the queue", surelyNotProcessed: true))
            return perform(scheduler.finished(id))
        }
        if pools[key]?.http2.take(order) == true {
            lookAgain(min(order.deadline, loop.now + configuration.pingAfter))
        } else {
            startAlone(order)
        }
    }

    /// Starts a request as a transfer of libcurl's.
    private func startAlone(_ order: HTTPOrder) {
        let id = order.id
        do {
            guard let multi = pools[order.key]?.multi else { throw CurlFailure(code: CURLE_OUT_OF_MEMORY) }
            let profile = TransferProfile(order.request, isStream: order.stream != nil)
            let spare = spares[profile]?.popLast()
            if spare != nil { spareCount -= 1 }
            let easy = try spare ?? CurlEasy()
            let transfer = HTTPTransfer(order, profile, easy: easy, multi) { [unowned self] in
                finish($0, $1)
            }
            try transfer.prepare(configuration, left: order.deadline - loop.now, isPrepared: spare != nil)
            try multi.add(transfer)
            transfers[id] = transfer
            order.stream.map { connect($0, to: order, multi, transfer) }
        } catch {
            let failure =
                error as? HTTPTransportError
                ?? HTTPFailure.error((error as? CurlFailure)?.code ?? CURLE_FAILED_INIT, HTTPFailure.Circumstances())
            end(id, failure)
            perform(scheduler.finished(id))
        }
    }

    /// Lets the session of an answer that goes on end and resume its transfer.
    private func connect(_ stream: HTTPStreamSession, to order: HTTPOrder, _ multi: CurlMulti, _ transfer: HTTPTransfer)
    {
        stream.onAbort = { [unowned self] error in
            // Before the header somebody waits for it, later for the body.
            end(order.id, error)
            perform(scheduler.cancel(order.id))
        }
        stream.onResume = { [unowned transfer] in transfer.resume() }
        stream.begin(until: order.deadline, streamDeadlines)
    }

    private func finish(_ transfer: HTTPTransfer, _ code: CURLcode) {
        let id = transfer.order.id
        opened += transfer.easy.long(CURLINFO_NUM_CONNECTS)
        let outcome = transfer.outcome(code)
        completed += 1
        recycle(transfer)
        orders[id] = nil
        transfer.order.answer.settle(outcome)
        transfer.order.stream?.end(code == CURLE_OK ? .success(()) : .failure(transfer.failure(code)))
        perform(scheduler.finished(id))
    }

    /// A request that shared a connection is over.
    private func ended(_ order: HTTPOrder, _ outcome: Result<HTTPResponse, any Error>) {
        completed += 1
        orders[order.id] = nil
        order.answer.settle(outcome)
        if !retired.isEmpty { dropRetired() }
        perform(scheduler.finished(order.id))
    }

    private func cancelShared(_ id: UInt64) {
        guard let key = orders[id]?.key, pools[key]?.http2.cancel(id) != true else { return }
        if retired.contains(where: { $0.http2.cancel(id) }) { dropRetired() }
    }

    private func end(_ id: UInt64, _ error: HTTPTransportError) {
        if let order = orders.removeValue(forKey: id) { fail(order, error) }
    }

    private func fail(_ order: HTTPOrder, _ error: HTTPTransportError) {
        completed += 1
        order.answer.settle(.failure(error))
        order.stream?.end(.failure(error))
    }

    private func recycle(_ transfer: HTTPTransfer) {
        transfers[transfer.order.id] = nil
        let multi = transfer.multi
        multi.remove(transfer)
        if let easy = transfer.releaseHandle() {
            // Full of what is no longer asked for, maybe: then it fills anew.
            if spareCount >= Self.spareHandleLimit { (spares, spareCount) = ([:], 0) }
            spares[transfer.profile, default: []].append(easy)
            spareCount += 1
        }
        if !retired.isEmpty { dropRetired() }
    }
}
