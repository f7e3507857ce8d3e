internal import CCurl

/// What libcurl sends in one turn, held back so that it leaves together. libcurl hands each HTTP/2 frame to the system by
/// itself, two for a request; sent one by one each goes as a segment of its own and wakes the other side for itself
/// (`TCP_CORK`, tcp(7)).
struct Parcel {
    /// So many connections are held back at most: each costs two calls of the system a turn.
    static let connectionLimit = 4
    /// Requests after which it is sent in any case, so that the first need not wait for the last of a large turn.
    static let requestLimit = 16

    private var held: [Int32] = []
    private var requests = 0

    /// Holds back what is sent on these, or on none where they are too many.
    mutating func open(_ descriptors: Set<Int32>) {
        guard descriptors.count <= Self.connectionLimit else { return }
        for descriptor in descriptors {
            farbell_set_cork(descriptor, 1)
            held.append(descriptor)
        }
    }

    /// A request begins on one of the connections.
    mutating func began() {
        requests += 1
        guard requests >= Self.requestLimit else { return }
        requests = 0
        for descriptor in held {
            farbell_set_cork(descriptor, 0)
            farbell_set_cork(descriptor, 1)
        }
    }

    /// libcurl no longer watches this one, and may close it.
    mutating func release(_ descriptor: Int32) {
        guard let place = held.firstIndex(of: descriptor) else { return }
        held.remove(at: place)
        farbell_set_cork(descriptor, 0)
    }

    /// Lets everything go.
    mutating func send() {
        for descriptor in held { farbell_set_cork(descriptor, 0) }
        held.removeAll(keepingCapacity: true)
        requests = 0
    }
}
