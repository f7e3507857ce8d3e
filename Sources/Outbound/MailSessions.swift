internal import Base
internal import CCurl

/// All mail connections: admits logins, spreads the handles over multi handles, keeps count.
final class MailSessions: @unchecked Sendable {
    // Sendable: everything in it is touched on the loop's thread alone; others only pass the reference.

    /// Connections of one multi handle. libcurl finds a handle's connection by walking through all of the
    /// multi's, so few; each multi holds its own copy of the trusted roots (0.8 MB), so not too few.
    static let connectionsPerMulti = 512

    /// One connection asked for.
    final class Order: Sendable {
        let request: MailConnectionRequest
        let answer = Pending<MailConnection>()

        init(_ request: MailConnectionRequest) { self.request = request }
    }

    private struct Running {
        let order: Order
        let login: MailLogin
        let multi: CurlMulti
    }

    private let configuration: HTTPClient.Configuration
    private let loop: EventLoop
    private(set) lazy var deadlines = MailDeadlines(loop: loop)
    private var multis: [CurlMulti] = []
    private var waiting: [Order] = []
    private var waitingHead = 0
    private var running: [ObjectIdentifier: Running] = [:]
    private var sessions: [ObjectIdentifier: MailSession] = [:]
    private var isShutDown = false

    init(_ configuration: HTTPClient.Configuration, loop: EventLoop) {
        (self.configuration, self.loop) = (configuration, loop)
    }

    private var waitingCount: Int { waiting.count - waitingHead }

    func report(_ statistics: inout HTTPClient.Statistics) {
        statistics.mailConnections = sessions.count
        statistics.mailLogins = running.count + waitingCount
    }

    func submit(_ order: Order) {
        guard !isShutDown else {
            order.answer.settle(.failure(MailConnectionError(.stopped, "the client has stopped")))
            return
        }
        guard sessions.count + running.count + waitingCount < configuration.mailConnections else {
            order.answer.settle(.failure(MailConnectionError(.overloaded, "too many mail connections")))
            return
        }
        waiting.append(order)
        startWaiting()
    }

    func cancel(_ order: Order) {
        let found = running.values.first { $0.order === order }
        // One that still waits is passed over when its turn comes.
        guard let found else { return }
        running[ObjectIdentifier(found.login)] = nil
        found.multi.remove(found.login)
        startWaiting()
    }

    func shutDown() {
        guard !isShutDown else { return }
        isShutDown = true
        let error = MailConnectionError(.stopped, "the client has stopped")
        for order in waiting[waitingHead...] { order.answer.settle(.failure(error)) }
        for entry in running.values { entry.order.answer.settle(.failure(error)) }
        for session in sessions.values { session.close(error) }
        for multi in multis { multi.shutDown() }
        (waiting, waitingHead, running, multis) = ([], 0, [:], [])
    }

    private func startWaiting() {
        while running.count < configuration.mailLogins, waitingCount > 0 {
            let order = waiting[waitingHead]
            waitingHead += 1
            if waitingHead * 2 > waiting.count {
                waiting.removeFirst(waitingHead)
                waitingHead = 0
            }
            if order.answer.isOpen { start(order) }
        }
    }

    private func start(_ order: Order) {
        do {
            let multi = try roomyMulti()
            let login = MailLogin(order.request, easy: try CurlEasy()) { [unowned self] in finish($0, $1) }
            try login.prepare()
            try multi.add(login)
            running[ObjectIdentifier(login)] = Running(order: order, login: login, multi: multi)
        } catch let error as MailConnectionError {
            order.answer.settle(.failure(error))
        } catch {
            order.answer.settle(.failure(MailConnectionError(.overloaded, "libcurl: \(error)")))
        }
    }

    private func roomyMulti() throws -> CurlMulti {
        if let multi = multis.first(where: { $0.count < Self.connectionsPerMulti }) { return multi }
        let multi = try CurlMulti(loop: loop)
        multi.set(CURLMOPT_MAXCONNECTS, Self.connectionsPerMulti * 2)
        multis.append(multi)
        return multi
    }

    private func finish(_ login: MailLogin, _ code: CURLcode) {
        guard let entry = running.removeValue(forKey: ObjectIdentifier(login)) else { return }
        defer { startWaiting() }
        let descriptor = unsafe farbell_easy_active_socket(login.easy.handle)
        guard code == CURLE_OK, descriptor >= 0 else {
            let error = code == CURLE_OK ? MailConnectionError(.connectionLost, "no socket") : login.failure(code)
            entry.multi.remove(login)
            entry.order.answer.settle(.failure(error))
            return
        }
        login.forgetTranscript()
        let multi = entry.multi
        let session = MailSession(login, descriptor: descriptor, loop: loop, deadlines: deadlines) {
            [unowned self] session in
            multi.remove(session.login)
            sessions[ObjectIdentifier(session)] = nil
        }
        session.claim()
        sessions[ObjectIdentifier(session)] = session
        // When nobody wants it any more, the connection's last reference closes it.
        entry.order.answer.settle(.success(MailConnection(session, loop: loop)))
    }
}
