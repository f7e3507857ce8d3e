/// How often and how patiently a call is repeated.
///
/// A call is repeated after 429 and 503, when the gateway asks to come again, and after a broken connection where
/// repeating does no harm: a message keeps its id, a settlement its token, so the second is the same as the first.
public struct RetryPolicy: Sendable, Hashable {
    /// How often a call is made at most, 1 or more. Streams and receive loops, which have no answer to give,
    /// go on for ever.
    public var attempts = 5
    /// The first pause. Each further one is twice as long; each is shortened at random by up to half.
    public var firstPause = Duration.milliseconds(200)
    /// The longest pause.
    public var longestPause = Duration.seconds(30)
    /// The longest `Retry-After` that is waited for; a longer one is reported as the error it came with.
    public var longestRetryAfter = Duration.seconds(60)

    /// The values above.
    public init() {}

    /// No repetition at all.
    public static let never: RetryPolicy = {
        var policy = RetryPolicy()
        policy.attempts = 1
        return policy
    }()
}
