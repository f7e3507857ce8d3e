#if DEBUG
    import Testing

    @testable import Storage

    @Suite struct KillPointTests {
        @Test("FARBELL_FAILPOINT names a place and a number, or nothing") func parse() throws {
            let found = try #require(KillPoint.parse("sync:137"))
            #expect(found == (.sync, 137))
            #expect(try #require(KillPoint.parse("reply:1")) == (.reply, 1))
            for text in ["", "sync", "sync:", "sync:0", "sync:-1", "sink:3", "sync:1:2"] {
                #expect(KillPoint.parse(text) == nil, "\(text)")
            }
        }
    }
#endif
