// The load client of `Scripts/bench queue`, `im` and `push`: one thread, one epoll, many connections, six protocols.
// It does as little as a client can, because it shares the processors with the server it measures.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// MARK: Bytes

/// Bytes that wait to be read or written: those from `start` to `end`.
struct buffer {
    char *bytes;
    size_t start, end, room;
};

/// Room for so many bytes behind the end.
char *buffer_reserve(struct buffer *buffer, size_t count);
void buffer_append(struct buffer *buffer, const void *bytes, size_t count);
__attribute__((format(printf, 2, 3))) void buffer_print(struct buffer *buffer, const char *format, ...);
void buffer_clear(struct buffer *buffer);
void buffer_free(struct buffer *buffer);
/// Numbers in network order, as AMQP and PostgreSQL write them.
void buffer_number(struct buffer *buffer, uint64_t number, int bytes);
uint64_t number_at(const char *bytes, int count);
static inline size_t buffer_count(const struct buffer *buffer) { return buffer->end - buffer->start; }
static inline char *buffer_first(const struct buffer *buffer) { return buffer->bytes + buffer->start; }

// MARK: Connections

enum verb { GREET, PUT, TAKE, COMPLETE };

/// What reading the input came to.
enum reply {
    /// There is no whole reply yet.
    PARTIAL,
    /// Something was read, but the request has not ended.
    MORE,
    /// The request has ended.
    DONE,
    /// The server said no; only with `patient` (it may be starting).
    REFUSED,
};

/// A message in a consumer's hands.
struct held {
    char id[128];
    char token[256];
    uint64_t number;
};

enum { MOST_HELD = 1000 };

struct connection {
    int descriptor;
    int number;
    /// Whether it will take messages; some protocols greet otherwise then.
    bool consumes;
    /// Whether epoll tells when it can be written to.
    bool is_full;
    struct buffer in, out;
    /// The request under way.
    bool is_busy;
    enum verb verb;
    int count;
    bool waits;
    uint64_t since;
    /// When the first message of the request under way was there.
    uint64_t first;
    /// Messages taken and not completed.
    struct held *held;
    int held_count;
    /// For the protocols: replies awaited, a step, a count that goes on, a flag.
    int awaited;
    int step;
    uint64_t tag;
    bool flag;
    /// For the modes: empty answers in a row.
    int empty;
};

struct protocol {
    const char *name;
    /// Writes what a new connection begins with, or nothing.
    void (*greet)(struct connection *);
    /// Writes requests that put `count` messages.
    void (*put)(struct connection *, int count);
    /// Writes requests that take `count` messages; waits for the first one if asked to.
    void (*take)(struct connection *, int count, bool waits);
    /// Writes requests that complete all messages held. Returns whether the server answers.
    bool (*complete)(struct connection *);
    /// Reads the input for the request under way.
    enum reply (*read)(struct connection *);
};

extern const struct protocol farbell_protocol, beanstalkd_protocol, redis_protocol, rabbitmq_protocol,
    postgresql_protocol, postgresql_open_protocol, xmpp_protocol;

// MARK: The run

struct settings {
    const struct protocol *protocol;
    int port;
    int clients;
    int batch;
    double seconds;
    /// Messages in all, or 0.
    long count;
    int rounds;
    /// Farbell: whether each message has an id of the sender's, for duplicate detection.
    bool has_ids;
    /// Farbell: the app and its key.
    const char *app, *secret;
    /// Of `talk` and `paced`: messages a second.
    double rate;
    /// Of `paced`: how many accounts take turns, and what their names begin with.
    long accounts;
    const char *prefix;
    /// PostgreSQL: the database role.
    const char *user;
    /// When the server was started, on the monotonic clock.
    uint64_t server_start;
};

extern struct settings settings;
/// One message.
extern char *body;
extern size_t body_count;
/// Refusals close a connection instead of ending the program.
extern bool patient;
/// The queue has to be made, and the server has to answer.
extern bool is_preparing;

/// Connections and the server get used to each other for so long before anything counts.
static const double warmup_seconds = 0.3;

static inline uint64_t nanoseconds(double seconds) { return (uint64_t)(seconds * 1e9); }
/// Nanoseconds of the monotonic clock.
uint64_t now(void);
/// Nanoseconds of processor time this program has used.
uint64_t processor_time(void);
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);
/// Ends the program with the server's words, or says REFUSED.
enum reply refuse(struct connection *connection, const char *words, size_t count);

/// - Returns: nil when nobody listens and `patient` is set.
struct connection *connection_open(int number, bool consumes);
void connection_close(struct connection *connection);
void begin_put(struct connection *connection, int count);
void begin_take(struct connection *connection, int count, bool waits);
void begin_complete(struct connection *connection);
/// Handles what comes within so many milliseconds; `done` is called after each request. Returns false when a
/// connection was refused (which it closes).
bool turn(int milliseconds, void (*done)(struct connection *));
/// Turns until all of these have no request under way.
void settle(struct connection **connections, int count);

// MARK: Times

struct times {
    uint64_t *all;
    size_t count, room;
};
void times_add(struct times *times, uint64_t nanoseconds);
/// In microseconds; sorts. `share` is 0...1.
double times_percentile(struct times *times, double share);

void put_mode(void);
void take_mode(void);
void handoff_mode(void);
void drain_mode(void);
void first_mode(void);
void ready_mode(void);
void talk_mode(void);
void paced_mode(void);
