// Messages at a steady rate to many accounts, each in a request of its own, and when each was due and accepted.
#include "load.h"

#include <stdio.h>
#include <stdlib.h>

static struct {
    struct connection **idle;
    int idle_count;
    long accepted;
    uint64_t start;
    uint64_t *came;
} pace;

static uint64_t due(long message) { return pace.start + (uint64_t)((double)message * 1e9 / settings.rate); }

static void accepted(struct connection *connection) {
    pace.came[connection->tag] = now();
    pace.accepted++;
    pace.idle[pace.idle_count++] = connection;
}

/// Sends what is due. A message waits while every connection awaits an answer; its time runs.
static long send_due(long sent) {
    uint64_t time = now();
    while (sent < settings.count && due(sent) <= time && pace.idle_count > 0) {
        struct connection *connection = pace.idle[--pace.idle_count];
        connection->tag = (uint64_t)sent++;
        begin_put(connection, 1);
    }
    return sent;
}

/// Prints a line for each message: its number, when it was due and when it was accepted, in nanoseconds of the
/// monotonic clock.
void paced_mode(void) {
    if (settings.count < 1 || settings.rate <= 0 || settings.accounts < 1) fail("paced: --count, --rate, --accounts");
    pace.idle = calloc((size_t)settings.clients, sizeof(struct connection *));
    pace.came = calloc((size_t)settings.count, sizeof *pace.came);
    for (int number = 0; number < settings.clients; number++) pace.idle[number] = connection_open(number, false);
    pace.idle_count = settings.clients;
    pace.start = now();
    long sent = 0;
    while (pace.accepted < settings.count) {
        sent = send_due(sent);
        turn(sent < settings.count ? 1 : 100, accepted);
    }
    for (long message = 0; message < settings.count; message++) {
        printf("%ld %llu %llu\n", message, (unsigned long long)due(message), (unsigned long long)pace.came[message]);
    }
}
