// Connections, epoll and clocks.
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_AT_ONCE = 262144, EVENTS_AT_ONCE = 128 };

static int poller = -1;

uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t processor_time(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "farbell-load: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    exit(1);
}

enum reply refuse(struct connection *connection, const char *words, size_t count) {
    static const char *const names[] = {"greeting", "put", "take", "complete"};
    if (patient) return REFUSED;
    fail("%s refused a %s: %.*s", settings.protocol->name, names[connection->verb], (int)(count > 600 ? 600 : count),
         words);
}

// MARK: Connections

static void watch(struct connection *connection, bool is_full, int operation) {
    struct epoll_event event = {.events = EPOLLIN | (is_full ? EPOLLOUT : 0), .data.ptr = connection};
    if (epoll_ctl(poller, operation, connection->descriptor, &event) < 0) fail("epoll: %s", strerror(errno));
    connection->is_full = is_full;
}

static void flush(struct connection *connection) {
    struct buffer *out = &connection->out;
    while (buffer_count(out) > 0) {
        ssize_t count = write(connection->descriptor, buffer_first(out), buffer_count(out));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno == EAGAIN) break;
        if (count < 0 && patient) {
            // The end of the connection comes as input, too.
            buffer_clear(out);
            break;
        }
        if (count < 0) fail("%s: cannot write: %s", settings.protocol->name, strerror(errno));
        out->start += (size_t)count;
    }
    bool is_full = buffer_count(out) > 0;
    if (is_full != connection->is_full) watch(connection, is_full, EPOLL_CTL_MOD);
}

struct connection *connection_open(int number, bool consumes) {
    if (poller < 0) poller = epoll_create1(EPOLL_CLOEXEC);
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)settings.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) < 0) {
        if (!patient) fail("%s: cannot connect to port %d: %s", settings.protocol->name, settings.port, strerror(errno));
        close(descriptor);
        return NULL;
    }
    int one = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
    struct connection *connection = calloc(1, sizeof *connection);
    connection->descriptor = descriptor;
    connection->number = number;
    connection->consumes = consumes;
    connection->held = consumes ? malloc(sizeof *connection->held * MOST_HELD) : NULL;
    watch(connection, false, EPOLL_CTL_ADD);
    connection->is_busy = true;
    connection->verb = GREET;
    settings.protocol->greet(connection);
    connection->is_busy = buffer_count(&connection->out) > 0;
    flush(connection);
    return connection;
}

void connection_close(struct connection *connection) {
    close(connection->descriptor);
    buffer_free(&connection->in);
    buffer_free(&connection->out);
    free(connection->held);
    free(connection);
}

// MARK: Requests

static void begin(struct connection *connection, enum verb verb, int count) {
    if (connection->is_busy) fail("a request while another one is under way");
    connection->is_busy = true;
    connection->verb = verb;
    connection->count = count;
    connection->since = now();
}

void begin_put(struct connection *connection, int count) {
    begin(connection, PUT, count);
    settings.protocol->put(connection, count);
    flush(connection);
}

void begin_take(struct connection *connection, int count, bool waits) {
    begin(connection, TAKE, count);
    connection->waits = waits;
    connection->held_count = 0;
    connection->first = 0;
    settings.protocol->take(connection, count, waits);
    flush(connection);
}

static void (*handler)(struct connection *);

void begin_complete(struct connection *connection) {
    begin(connection, COMPLETE, connection->held_count);
    bool is_answered = settings.protocol->complete(connection);
    flush(connection);
    if (is_answered) return;
    connection->is_busy = false;
    handler(connection);
}

// MARK: Turns

/// - Returns: false when the connection was refused.
static bool receive(struct connection *connection) {
    ssize_t count = read(connection->descriptor, buffer_reserve(&connection->in, READ_AT_ONCE), READ_AT_ONCE);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (count <= 0) {
        refuse(connection, "the connection ended", 20);
        return false;
    }
    connection->in.end += (size_t)count;
    while (buffer_count(&connection->in) > 0) {
        enum reply reply = settings.protocol->read(connection);
        if (connection->verb == TAKE && connection->held_count > 0 && !connection->first) connection->first = now();
        if (reply == PARTIAL) break;
        if (reply == REFUSED) return false;
        if (reply == MORE) continue;
        connection->is_busy = false;
        handler(connection);
    }
    flush(connection);
    return true;
}

bool turn(int milliseconds, void (*done)(struct connection *)) {
    struct epoll_event events[EVENTS_AT_ONCE];
    handler = done;
    int count = epoll_wait(poller, events, EVENTS_AT_ONCE, milliseconds);
    if (count < 0 && errno != EINTR) fail("epoll: %s", strerror(errno));
    bool is_good = true;
    for (int index = 0; index < count; index++) {
        struct connection *connection = events[index].data.ptr;
        if (events[index].events & EPOLLOUT) flush(connection);
        if (!(events[index].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || receive(connection)) continue;
        connection_close(connection);
        is_good = false;
    }
    return is_good;
}

static void ignore(struct connection *connection) { (void)connection; }

void settle(struct connection **connections, int count) {
    for (int index = 0; index < count; index++) {
        while (connections[index]->is_busy) turn(1000, ignore);
    }
}

// MARK: Times

void times_add(struct times *times, uint64_t nanoseconds) {
    if (times->count == times->room) {
        times->room = times->room ? times->room * 2 : 4096;
        times->all = realloc(times->all, times->room * sizeof *times->all);
        if (!times->all) fail("no memory");
    }
    times->all[times->count++] = nanoseconds;
}

static int compare(const void *a, const void *b) {
    uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;
    return first < second ? -1 : first > second;
}

double times_percentile(struct times *times, double share) {
    if (times->count == 0) return 0;
    qsort(times->all, times->count, sizeof *times->all, compare);
    size_t rank = (size_t)(share * (double)times->count + 0.999999);
    if (rank < 1) rank = 1;
    if (rank > times->count) rank = times->count;
    return (double)times->all[rank - 1] / 1000;
}
