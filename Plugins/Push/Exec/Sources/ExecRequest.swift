internal import Base
internal import Cryptography
internal import Gateway

/// One line for the program: `{id,push,device,to,document|sealed,priority,expires,locale?}`.
enum ExecRequest {
    /// Bytes of the largest document.
    static let documentLimit = 65_536

    /// The line without its `id`, which is each attempt's own; nil when not even the ids fit.
    /// - Throws: `CryptographyError` when the device's keys cannot be used.
    static func body(of push: Push) throws -> JSONObject? {
        var object: JSONObject = ["push": .string(push.id), "device": .string(push.device.text)]
        object.append("to", address(push.address))
        if let keys = push.encryption {
            // RFC 8291 has room for one record of 4096 bytes.
            let limit = (WebPushEncryption.plaintextLimit + PushDocument.sealingOverhead) / 3 * 4
            let sealed = try PushDocument.sealed(of: push, limit: limit) { plain in
                try WebPushEncryption.encrypt(plain, p256dh: keys.publicKey, auth: keys.secret)
            }
            guard let sealed else { return nil }
            object.append("sealed", .string(sealed))
        } else {
            guard let document = PushDocument.bytes(of: push, limit: documentLimit),
                let json = try? JSONParser.parse(document)
            else { return nil }
            object.append("document", json)
        }
        object.append("priority", .string(push.priority.rawValue))
        object.append("expires", .timestamp(push.expires))
        if let locale = push.locale { object.append("locale", .string(locale)) }
        return object
    }

    private static func address(_ address: Channel.Address) -> JSON {
        switch address {
        case .token(let token): ["token": .string(token)]
        case .url(let url): ["url": .string(url)]
        case .subscription(let endpoint, let p256dh, let auth):
            ["endpoint": .string(endpoint), "keys": ["p256dh": .string(p256dh), "auth": .string(auth)]]
        }
    }
}
