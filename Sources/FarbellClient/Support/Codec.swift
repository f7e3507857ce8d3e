internal import Foundation

/// JSON as the gateway writes it.
enum Codec {
    static func encode(_ value: some Encodable) throws(FarbellError) -> Data {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .custom { date, encoder in
            var container = encoder.singleValueContainer()
            try container.encode(date.formatted(withFraction))
        }
        do {
            return try encoder.encode(value)
        } catch {
            throw FarbellError(.invalidRequest, "The request cannot be written as JSON.", underlying: error)
        }
    }

    static func decode<Value: Decodable>(_ type: Value.Type, from data: Data) throws(FarbellError) -> Value {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .custom { decoder in
            let container = try decoder.singleValueContainer()
            let text = try container.decode(String.self)
            if let date = (try? withFraction.parse(text)) ?? (try? withoutFraction.parse(text)) { return date }
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a time of RFC 3339")
        }
        do {
            return try decoder.decode(type, from: data)
        } catch {
            throw FarbellError(.invalidAnswer, "The answer is not what was expected.", underlying: error)
        }
    }

    private static let withFraction = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    private static let withoutFraction = Date.ISO8601FormatStyle()
}
