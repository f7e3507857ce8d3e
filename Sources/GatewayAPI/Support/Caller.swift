internal import Base
internal import Gateway
internal import Inbound

/// What a request says of who sends it (RFC 9110 section 11.6.2).
enum Authorization {
    case bearer(Secret)
    case basic(name: String, password: Secret)
    case none

    private static let bearer = Array("Bearer ".utf8)
    private static let space = UInt8(ascii: " ")

    init(_ request: InboundRequest) {
        self = .none
        guard let bytes = request.headers.bytes("Authorization") else { return }
        // As nearly everybody writes it, without a detour.
        if bytes.starts(with: Self.bearer) {
            let token = bytes.dropFirst(Self.bearer.count)
            if let first = token.first, first != Self.space, token.last != Self.space {
                self = .bearer(Secret(bytes: Array(token)))
                return
            }
        }
        let header = String(decoding: bytes, as: UTF8.self)
        guard let space = header.firstIndex(of: " ") else { return }
        let value = String(header[space...]).trimmingSpace
        switch header[..<space].lowercased() {
        case "bearer": if !value.isEmpty { self = .bearer(Secret(value)) }
        case "basic":
            guard let bytes = [UInt8](base64: value), let colon = bytes.firstIndex(of: UInt8(ascii: ":")),
                let name = String(validating: bytes[..<colon], as: UTF8.self)
            else { return }
            self = .basic(name: name, password: Secret(bytes: Array(bytes[(colon + 1)...])))
        default: return
        }
    }
}

/// Who may call a route, as it is written in the document of the API.
enum Access: String, Sendable, CaseIterable {
    /// Anyone.
    case open
    /// An account's name and password.
    case basic
    /// A device's token.
    case device
    /// A device's token or an application's key.
    case party
    /// The administrator's token.
    case admin
}

extension Party {
    /// Under which name its requests are counted. No device's id has a slash in it.
    var rateName: String {
        switch self {
        case .device(let device): device.id.text
        case .app(let id): "app/\(id)"
        }
    }

    var account: AccountID? { if case .device(let device) = self { device.account } else { nil } }
    var device: Device? { if case .device(let device) = self { device } else { nil } }
}
