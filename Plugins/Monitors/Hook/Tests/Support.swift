import Base
import Gateway
import GatewayTestKit

@testable import HookMonitor

/// A sender's side of the format `signed`.
struct SignedSender: Sendable {
    static let key = Array("0123456789abcdef0123456789abcdef".utf8)
    static let environment = ["S": "whsec_" + key.base64]
    static let configuration = #"{"monitor":{"kind":"hook","secret":{"env":"S"}}}"#

    let time: any TimeSource
    var key = Self.key

    func call(_ json: JSON, id: String, at: Timestamp? = nil) -> InboundCall {
        call(json.serializedBytes, id: id, at: at)
    }

    func call(_ body: [UInt8], id: String, at: Timestamp? = nil) -> InboundCall {
        let fields = headers(body, id: id, at: at)
        return InboundCall(method: "POST", body: body) { fields[$0] }
    }

    func headers(_ body: [UInt8], id: String, at: Timestamp? = nil) -> HTTPFields {
        let stamp = String((at ?? time.timestamp).seconds)
        return [
            "webhook-id": id, "webhook-timestamp": stamp,
            "webhook-signature": StandardWebhook.signature(id: id, timestamp: stamp, body: body, key: key),
        ]
    }
}

/// Takes what a monitor hands on.
final class RecordingDesk: InboundDesk {
    let batches = Recorder<(account: AccountID, batch: MonitorBatch)>()
    let failure = Locked<(any Error & Sendable)?>(nil)

    func accept(_ batch: MonitorBatch, for account: AccountID) async throws {
        if let failure = failure.withLock({ $0 }) { throw failure }
        batches.append((account, batch))
    }
}
