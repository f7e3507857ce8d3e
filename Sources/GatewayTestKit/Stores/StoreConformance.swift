package import Gateway

/// What every store must do, as checks that a test runs one by one.
///
///     @Test(arguments: StoreConformance.Check.allCases)
///     func conforms(check: StoreConformance.Check) async throws { try await conformance.run(check) }
package struct StoreConformance: Sendable {
    package enum Check: String, Sendable, CaseIterable, CustomStringConvertible {
        case emptyStore = "an empty store has nothing"
        case registryRoundTrip = "registry rows come back as they were put, also after reopening"
        case putReplaces = "put replaces by id"
        case deviceSetters = "a device's cursor and last seen are set, an unknown device's are not"
        case monitorCursor = "a registration's cursor is set, an unknown registration's is not"
        case queueAddresses = "two queues cannot have one address"
        case preferences = "all forms of preferences and channels come back"
        case launches = "launches are put, replaced and purged"
        case people = "contacts, blocks and statuses are put, replaced, removed, and end with their account"
        case messageRoundTrip = "messages come back with every field, also after reopening"
        case bodies = "empty, binary and large bodies come back"
        case text = "text of any kind comes back, empty is not nil"
        case keyUsedTwice = "a message's or event's number can be used once"
        case settling = "settling leaves a tombstone; the first settlement stays"
        case openEntries = "open entries come in the order of storing, without gap"
        case wholeMessages = "messages come by keys and by state"
        case updating = "updating changes an open message and no other"
        case deadLetters = "a dead message keeps its text and is not open"
        case arrivals = "the first arrival counts, also of a settled message"
        case repeats = "settled messages with an id of their sender's are found by time"
        case insertedSettled = "a message can be stored as a tombstone"
        case entries = "entries mixes messages and events by number"
        case mergedEntries = "entries of queues with one series come merged"
        case paging = "10,000 messages are paged without gap or repeat"
        case items = "an item becomes one message; open and settled ones are told apart"
        case deliveries = "deliveries are kept for each device and replaced"
        case atomicity = "a refused submission leaves nothing and hurts no other"
        case order = "completions are called in the order of submissions"
        case readYourWrites = "what was answered is seen by the next read"
        case deleteAccount = "deleting an account takes its own with it and nothing else"
        case deleteParts = "deleting a device or registration removes that row"
        case deleteDevice = "deleting a device takes its queue with it and nothing else"
        case purge = "purge removes what is older, and only that"
        case largePurge = "a purge of thousands ends"
        case emptySubmission = "a submission without changes is answered"
        case closed = "a closed store refuses"
        case historyRoundTrip = "entries of a history come back with every field, by number and by message"
        case historyPages = "a history and a list of conversations are paged both ways"
        case conversationMarks = "marks rise and never fall, and what is unread follows"
        case conversationChanges = "edits and withdrawals change the entry and the open message"
        case historyPurge = "a purge drops what is over and keeps numbers rising"
        case historyOfDeleted = "an account's conversations end with it, for both ends"
        case model = "random changes leave the same as in the model, across reopening"

        package var description: String { rawValue }
    }

    /// A check that did not hold.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Makes a new, empty store.
    let make: @Sendable () async throws -> any Store
    /// Closes the store and opens it again with what it kept.
    let reopen: @Sendable (any Store) async throws -> any Store

    package init(
        make: @escaping @Sendable () async throws -> any Store,
        reopen: @escaping @Sendable (any Store) async throws -> any Store
    ) {
        (self.make, self.reopen) = (make, reopen)
    }

    /// Runs one check on a new store and closes it.
    /// - Throws: `Failure` when the check does not hold, and what the store throws.
    package func run(_ check: Check) async throws {
        var store = try await make()
        do {
            try await run(check, on: &store)
        } catch {
            await store.close()
            throw error
        }
        await store.close()
    }

    private func run(_ check: Check, on store: inout any Store) async throws {
        switch check {
        case .emptyStore: try await emptyStore(store)
        case .registryRoundTrip: try await registryRoundTrip(&store)
        case .putReplaces: try await putReplaces(store)
        case .deviceSetters: try await deviceSetters(store)
        case .monitorCursor: try await monitorCursor(store)
        case .queueAddresses: try await queueAddresses(store)
        case .preferences: try await preferences(&store)
        case .launches: try await launches(store)
        case .people: try await people(&store)
        case .messageRoundTrip: try await messageRoundTrip(&store)
        case .bodies: try await bodies(&store)
        case .text: try await text(&store)
        case .keyUsedTwice: try await keyUsedTwice(store)
        case .settling: try await settling(&store)
        case .openEntries: try await openEntries(&store)
        case .wholeMessages: try await wholeMessages(store)
        case .updating: try await updating(&store)
        case .deadLetters: try await deadLetters(&store)
        case .arrivals: try await arrivals(&store)
        case .repeats: try await repeats(store)
        case .insertedSettled: try await insertedSettled(store)
        case .entries: try await entries(store)
        case .mergedEntries: try await mergedEntries(store)
        case .paging: try await paging(store)
        case .items: try await items(&store)
        case .deliveries: try await deliveries(store)
        case .atomicity: try await atomicity(&store)
        case .order: try await order(store)
        case .readYourWrites: try await readYourWrites(store)
        case .deleteAccount: try await deleteAccount(&store)
        case .deleteParts: try await deleteParts(store)
        case .deleteDevice: try await deleteDevice(&store)
        case .purge: try await purge(&store)
        case .largePurge: try await largePurge(store)
        case .emptySubmission: try await store.commit([])
        case .closed: try await closed(store)
        case .historyRoundTrip: try await historyRoundTrip(&store)
        case .historyPages: try await historyPages(store)
        case .conversationMarks: try await conversationMarks(&store)
        case .conversationChanges: try await conversationChanges(&store)
        case .historyPurge: try await historyPurge(&store)
        case .historyOfDeleted: try await historyOfDeleted(&store)
        case .model: try await model(seed: 20_261_121, steps: 400)
        }
    }

    /// Throws unless both are equal.
    func expect<Value: Equatable>(
        _ found: Value, _ expected: Value, _ what: String, line: Int = #line
    ) throws {
        if found == expected { return }
        throw Failure(description: "\(what) (line \(line)):\n    found    \(found)\n    expected \(expected)")
    }

    func expect(_ condition: Bool, _ what: String, line: Int = #line) throws {
        if !condition { throw Failure(description: "\(what) (line \(line))") }
    }

    /// Commits changes that must be refused as a whole.
    func expectRefused(_ store: any Store, _ changes: [StoreChange], _ what: String, line: Int = #line) async throws {
        do {
            try await store.commit(changes)
        } catch let error as StoreError {
            return try expect(error.code, .refused, what, line: line)
        }
        throw Failure(description: "\(what) (line \(line)): was accepted")
    }
}
