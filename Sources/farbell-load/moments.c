// How long it takes: handing over, draining, starting. Each mode prints one line of JSON.
#include "load.h"

#include <stdio.h>

// MARK: Hand-off

enum { PRODUCER, CONSUMER };
/// How long the consumer has been waiting when the message is sent.
static const uint64_t settle_nanoseconds = 2000000;

static struct {
    uint64_t sent, next;
    /// Whether a message is on its way; whether the consumer waits again.
    bool is_sent, is_waiting;
    struct times taken, accepted;
} handoff;

static void handoff_done(struct connection *connection) {
    uint64_t time = now();
    if (connection->number == PRODUCER) {
        times_add(&handoff.accepted, time - handoff.sent);
    } else if (connection->verb == TAKE) {
        // A wait that ended by itself begins anew.
        if (connection->held_count == 0) {
            begin_take(connection, 1, true);
            return;
        }
        if (!handoff.is_sent) fail("the queue was not empty");
        handoff.is_sent = false;
        times_add(&handoff.taken, time - handoff.sent);
        begin_complete(connection);
    } else {
        begin_take(connection, 1, true);
        handoff.is_waiting = true;
        handoff.next = now() + settle_nanoseconds;
    }
}

/// One message at a time, from the producer's send until the waiting consumer has it.
void handoff_mode(void) {
    struct connection *pair[] = {connection_open(PRODUCER, false), connection_open(CONSUMER, true)};
    settle(pair, 2);
    uint64_t begin = now(), processor = processor_time();
    uint64_t end = begin + nanoseconds(settings.seconds);
    begin_take(pair[CONSUMER], 1, true);
    handoff.next = now() + nanoseconds(warmup_seconds);
    handoff.is_waiting = true;
    while (now() < end || !handoff.is_waiting || pair[PRODUCER]->is_busy) {
        if (now() > end + nanoseconds(5)) fail("a message was not handed over within 5 s");
        if (handoff.is_waiting && !pair[PRODUCER]->is_busy && now() >= handoff.next && now() < end) {
            handoff.is_waiting = false;
            handoff.is_sent = true;
            handoff.sent = now();
            begin_put(pair[PRODUCER], 1);
        }
        turn(1, handoff_done);
    }
    double share = (double)(processor_time() - processor) / (double)(now() - begin);
    printf("{\"messages\":%zu,\"clientShare\":%.4f,\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f,\"acceptedP50\":%.1f}\n",
           handoff.taken.count, share, times_percentile(&handoff.taken, 0.5), times_percentile(&handoff.taken, 0.99),
           times_percentile(&handoff.taken, 1), times_percentile(&handoff.accepted, 0.5));
}

// MARK: Drain

static struct {
    uint64_t first, all;
    long taken, completed;
} drain;

static void drain_done(struct connection *connection) {
    if (connection->verb == TAKE) {
        if (drain.taken == 0) drain.first = connection->first;
        drain.taken += connection->held_count;
        if (drain.taken == settings.count && connection->held_count > 0) drain.all = now();
        if (connection->held_count > 0) {
            begin_complete(connection);
            return;
        }
    } else if (connection->verb == COMPLETE) {
        drain.completed += connection->count;
        if (drain.completed >= settings.count) return;
    }
    long left = settings.count - drain.taken;
    begin_take(connection, (int)(left < settings.batch ? left : settings.batch), true);
}

/// Puts `count` messages, then a new client connects, takes all in batches and completes them.
void drain_mode(void) {
    struct times first = {0}, all = {0}, completed = {0};
    struct connection *producer = connection_open(0, false);
    settle(&producer, 1);
    uint64_t processor = 0, elapsed = 0;
    for (int round = 0; round < settings.rounds; round++) {
        for (long put = 0; put < settings.count; put += 100) {
            begin_put(producer, (int)(settings.count - put < 100 ? settings.count - put : 100));
            settle(&producer, 1);
        }
        drain.taken = drain.completed = 0;
        uint64_t used = processor_time(), begin = now();
        struct connection *consumer = connection_open(1, true);
        if (!consumer->is_busy) drain_done(consumer);
        while (drain.completed < settings.count) {
            turn(1000, drain_done);
            if (now() - begin > nanoseconds(30)) fail("only %ld of %ld came out", drain.completed, settings.count);
        }
        uint64_t end = now();
        processor += processor_time() - used;
        elapsed += end - begin;
        times_add(&first, drain.first - begin);
        times_add(&all, drain.all - begin);
        times_add(&completed, end - begin);
        connection_close(consumer);
    }
    printf("{\"messages\":%ld,\"clientShare\":%.4f,\"first\":%.1f,\"all\":%.1f,\"p50\":%.1f,\"max\":%.1f}\n",
           settings.count * settings.rounds, (double)processor / (double)elapsed, times_percentile(&first, 0.5),
           times_percentile(&all, 0.5), times_percentile(&completed, 0.5), times_percentile(&completed, 1));
}

// MARK: First message after a start

static bool has_first;

static void first_done(struct connection *connection) {
    if (connection->verb == TAKE && connection->held_count > 0) {
        has_first = true;
    } else {
        begin_take(connection, 1, true);
    }
}

/// Tries until a server that was just started hands out a message; the time since its start.
void first_mode(void) {
    patient = true;
    struct connection *connection = NULL;
    while (!has_first) {
        if (now() - settings.server_start > nanoseconds(settings.seconds)) fail("no message in time");
        if (!connection) {
            connection = connection_open(0, true);
            if (connection && !connection->is_busy) first_done(connection);
        }
        // A millisecond between two attempts.
        if (!turn(1, first_done)) connection = NULL;
    }
    printf("{\"milliseconds\":%.1f}\n", (double)(now() - settings.server_start) / 1e6);
}

// MARK: Ready

static bool is_ready;

static void ready_done(struct connection *connection) {
    (void)connection;
    is_ready = true;
}

/// Tries until the server greets and the queue is made.
void ready_mode(void) {
    patient = is_preparing = true;
    uint64_t begin = now();
    struct connection *connection = NULL;
    while (!is_ready) {
        if (now() - begin > nanoseconds(settings.seconds)) fail("%s is not ready in time", settings.protocol->name);
        if (!connection) connection = connection_open(0, false);
        if (!turn(10, ready_done)) connection = NULL;
    }
    printf("{\"milliseconds\":%.1f}\n", (double)(now() - begin) / 1e6);
}
