// How many messages a second: putting, and taking with completing. Each mode prints one line of JSON.
#include "load.h"

#include <stdio.h>
#include <stdlib.h>

/// A consumer that gets nothing so many times in a row has seen the end of the queue.
static const int empty_answers = 3;
/// Nothing completed for so long: the queue is empty, for peers that do not say so.
static const uint64_t idle_nanoseconds = 700000000;

/// The window stays open until so many requests of each client have ended in it, for up to four times the time asked
/// for: a slow disk makes a pipeline of a hundred syncs long.
static const size_t least_requests = 4;
static const uint64_t most_windows = 4;

/// What a run in a closed loop counts: everything, and what ended within the window.
static struct {
    uint64_t begin, end, last_end, last;
    uint64_t processor, processor_last;
    long total, begun, counted;
    int running;
    /// Whether it was the time that ended the run.
    bool is_timed;
    struct times times;
} tally;

static bool is_over(uint64_t time) {
    if (time < tally.end) return false;
    return tally.times.count >= least_requests * (size_t)settings.clients || time >= tally.last_end;
}

static void count(struct connection *connection, int messages) {
    uint64_t time = now();
    tally.total += messages;
    if (time < tally.begin) return;
    if (tally.processor == 0) tally.processor = processor_time();
    if (is_over(time)) return;
    tally.counted += messages;
    tally.last = time;
    tally.processor_last = processor_time();
    times_add(&tally.times, time - connection->since);
}

static void report(void) {
    // A queue that ran empty, or a window that stayed open, ends with its last request.
    bool is_whole = tally.last <= tally.end && tally.is_timed;
    double seconds = (double)((is_whole ? tally.end : tally.last) - tally.begin) / 1e9;
    double share = seconds > 0 ? (double)(tally.processor_last - tally.processor) / 1e9 / seconds : 0;
    printf("{\"messages\":%ld,\"seconds\":%.6f,\"total\":%ld,\"clientShare\":%.4f,\"p50\":%.1f,\"p99\":%.1f,"
           "\"max\":%.1f}\n",
           tally.counted, seconds, tally.total, share, times_percentile(&tally.times, 0.5),
           times_percentile(&tally.times, 0.99), times_percentile(&tally.times, 1));
}

static struct connection **open_all(bool consumes) {
    struct connection **all = calloc((size_t)settings.clients, sizeof *all);
    for (int number = 0; number < settings.clients; number++) all[number] = connection_open(number, consumes);
    settle(all, settings.clients);
    return all;
}

static void open_window(void) {
    double warmup = settings.count > 0 ? 0 : warmup_seconds;
    tally.begin = now() + nanoseconds(warmup);
    tally.end = settings.seconds > 0 ? tally.begin + nanoseconds(settings.seconds) : UINT64_MAX;
    bool is_fixed = settings.count > 0 || settings.seconds <= 0;
    tally.last_end = is_fixed ? tally.end : tally.begin + most_windows * nanoseconds(settings.seconds);
    tally.last = tally.begin;
    tally.running = settings.clients;
}

// MARK: Put

static void put_next(struct connection *connection) {
    bool is_full = settings.count > 0 && tally.begun >= settings.count;
    if (is_full || is_over(now())) {
        tally.is_timed = !is_full;
        tally.running--;
        return;
    }
    int batch = settings.batch;
    if (settings.count > 0 && settings.count - tally.begun < batch) batch = (int)(settings.count - tally.begun);
    tally.begun += batch;
    begin_put(connection, batch);
}

static void put_done(struct connection *connection) {
    count(connection, connection->count);
    put_next(connection);
}

/// Puts for `seconds`, or until there are `count`, with one request under way in each connection.
void put_mode(void) {
    struct connection **all = open_all(false);
    open_window();
    for (int number = 0; number < settings.clients; number++) put_next(all[number]);
    while (tally.running > 0) turn(100, put_done);
    report();
}

// MARK: Take and complete

/// When the pair of requests under way began, by connection.
static uint64_t *pair_since;

static void take_next(struct connection *connection) {
    if (is_over(now()) || connection->empty >= empty_answers) {
        tally.is_timed = connection->empty < empty_answers;
        tally.running--;
        return;
    }
    begin_take(connection, settings.batch, false);
    pair_since[connection->number] = connection->since;
}

static void take_done(struct connection *connection) {
    if (connection->verb == COMPLETE) {
        connection->since = pair_since[connection->number];
        count(connection, connection->count);
        take_next(connection);
    } else if (connection->held_count == 0) {
        connection->empty++;
        take_next(connection);
    } else {
        connection->empty = 0;
        begin_complete(connection);
    }
}

/// Takes and completes until `seconds` have passed or the queue is empty.
void take_mode(void) {
    struct connection **all = open_all(true);
    pair_since = calloc((size_t)settings.clients, sizeof *pair_since);
    open_window();
    for (int number = 0; number < settings.clients; number++) take_next(all[number]);
    long total = 0;
    uint64_t progress = now();
    while (tally.running > 0) {
        turn(100, take_done);
        if (tally.total != total) progress = now();
        total = tally.total;
        if (now() - progress > idle_nanoseconds) break;
    }
    report();
}
