// What a durable put over HTTP takes with the libraries Farbell is made of, used in one plain way: libmicrohttpd reads the request,
// SQLite gets a row for each message, one sync serves all that wait, and the answer is always the same. Nobody is
// authenticated, no JSON is read, no queue is kept: what makes a queue comes on top of it. `Scripts/bench queue`
// measures it beside the queues, to show what these libraries leave room for. As in Farbell the connections are polled
// by threads of its own: the library's own threads, which a descriptor wakes for each answer, take half as many.
//
//     farbell-floor PORT DATABASE
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LOOPS = 2,
    CONNECTIONS = 2048,
    /// Messages of a batch, and bytes of a body.
    MOST_MESSAGES = 1000,
    MOST_BYTES = 4 << 20,
    /// Pages of SQLite's log before it is copied into the database, as Farbell has it.
    LOG_PAGES = 12288,
};

/// A thread with its connections; others leave it work and wake it.
struct loop {
    struct MHD_Daemon *daemon;
    int wake_up;
    pthread_mutex_t lock;
    /// Requests whose messages are on the disk.
    struct request *finished;
    int arrivals[CONNECTIONS];
    int arrival_count;
};

struct request {
    struct loop *loop;
    struct MHD_Connection *connection;
    char *body;
    size_t size;
    /// Nil until the messages are on the disk.
    struct MHD_Response *answer;
    struct request *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER;
static struct request *first, **last = &first;
static struct loop loops[LOOPS];
/// What is answered to everything but a put.
static struct MHD_Response *greeting;

static void fail(const char *what) {
    fprintf(stderr, "farbell-floor: %s\n", what);
    exit(1);
}

// MARK: Requests

/// The same for every put of so many messages.
static struct MHD_Response *answer(int count) {
    static struct MHD_Response *answers[MOST_MESSAGES + 1];
    if (answers[count]) return answers[count];
    static const char item[] = "{\"id\":\"m-1-123456\",\"seq\":123456,\"state\":\"ready\"}";
    char *text = malloc(32 + (size_t)count * sizeof item), *end = text;
    if (!text) fail("no memory");
    if (count != 1) end = stpcpy(end, "{\"messages\":[");
    for (int index = 0; index < count; index++) end = stpcpy(stpcpy(end, index > 0 ? "," : ""), item);
    if (count != 1) end = stpcpy(end, "]}");
    answers[count] = MHD_create_response_from_buffer((size_t)(end - text), text, MHD_RESPMEM_PERSISTENT);
    if (!answers[count]) fail("no memory");
    MHD_add_response_header(answers[count], "Content-Type", "application/json");
    return answers[count];
}

/// Hands a request to the thread that writes; its connection rests until then.
static void submit(struct request *request) {
    MHD_suspend_connection(request->connection);
    pthread_mutex_lock(&lock);
    bool is_first = !first;
    *last = request;
    last = &request->next;
    if (is_first) pthread_cond_signal(&arrived);
    pthread_mutex_unlock(&lock);
}

static enum MHD_Result access_handler(
    void *context, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
    const char *data, size_t *size, void **own) {
    (void)version;
    struct request *request = *own;
    if (!request) {
        if (!(request = *own = calloc(1, sizeof *request))) return MHD_NO;
        (request->loop = context, request->connection = connection);
        return MHD_YES;
    }
    if (*size > 0) {
        if (request->size + *size > MOST_BYTES) return MHD_NO;
        char *body = realloc(request->body, request->size + *size);
        if (!body) return MHD_NO;
        memcpy(body + request->size, data, *size);
        (request->body = body, request->size += *size, *size = 0);
        return MHD_YES;
    }
    if (strcmp(method, "GET") == 0) return MHD_queue_response(connection, MHD_HTTP_OK, greeting);
    if (strncmp(url, "/v1/messages", 12) != 0) return MHD_queue_response(connection, MHD_HTTP_NOT_FOUND, greeting);
    if (request->answer) return MHD_queue_response(connection, MHD_HTTP_ACCEPTED, request->answer);
    submit(request);
    return MHD_YES;
}

static void completed(
    void *context, struct MHD_Connection *connection, void **own, enum MHD_RequestTerminationCode reason) {
    (void)context, (void)connection, (void)reason;
    struct request *request = *own;
    if (!request) return;
    free(request->body);
    free(request);
}

// MARK: Connections

static void take_in(struct loop *loop, int connection) {
    struct sockaddr_in peer = {.sin_family = AF_INET};
    MHD_add_connection(loop->daemon, connection, (const struct sockaddr *)&peer, sizeof peer);
}

static void *serve(void *own) {
    struct loop *loop = own;
    static _Thread_local int arrivals[CONNECTIONS];
    struct pollfd sets[] = {
        {.fd = loop->wake_up, .events = POLLIN},
        {.fd = MHD_get_daemon_info(loop->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, .events = POLLIN}};
    for (;;) {
        MHD_UNSIGNED_LONG_LONG timeout = 0;
        bool is_timed = MHD_get_timeout(loop->daemon, &timeout) == MHD_YES;
        poll(sets, 2, is_timed ? (int)timeout : -1);
        eventfd_t woken;
        if (sets[0].revents) eventfd_read(loop->wake_up, &woken);
        pthread_mutex_lock(&loop->lock);
        struct request *finished = loop->finished;
        int count = loop->arrival_count;
        memcpy(arrivals, loop->arrivals, (size_t)count * sizeof *arrivals);
        (loop->finished = NULL, loop->arrival_count = 0);
        pthread_mutex_unlock(&loop->lock);
        for (int index = 0; index < count; index++) take_in(loop, arrivals[index]);
        while (finished) {
            struct request *request = finished;
            // From here on it is the connection's.
            finished = request->next;
            MHD_resume_connection(request->connection);
        }
        MHD_run_wait(loop->daemon, 0);
    }
}

static void start_loops(void) {
    for (struct loop *loop = loops; loop < loops + LOOPS; loop++) {
        pthread_t thread;
        pthread_mutex_init(&loop->lock, NULL);
        loop->wake_up = eventfd(0, EFD_NONBLOCK);
        loop->daemon = MHD_start_daemon(
            MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_TURBO, 0, NULL,
            NULL, access_handler, loop, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS, MHD_OPTION_NOTIFY_COMPLETED, completed,
            NULL, MHD_OPTION_END);
        if (!loop->daemon || pthread_create(&thread, NULL, serve, loop) != 0) fail("libmicrohttpd does not start");
    }
}

static int listen_on(uint16_t port) {
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listening, (const struct sockaddr *)&address, sizeof address) != 0 || listen(listening, 1024) != 0) {
        fail("the port cannot be had");
    }
    return listening;
}

/// Gives connections to the threads in turn.
static void *accept_all(void *own) {
    for (int number = 0;; number++) {
        int connection = accept4(*(int *)own, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
        if (connection < 0) continue;
        setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct loop *loop = &loops[number % LOOPS];
        pthread_mutex_lock(&loop->lock);
        bool has_room = loop->arrival_count < CONNECTIONS;
        if (has_room) loop->arrivals[loop->arrival_count++] = connection;
        pthread_mutex_unlock(&loop->lock);
        if (!has_room) close(connection);
        eventfd_write(loop->wake_up, 1);
    }
}

// MARK: The store

static sqlite3 *database;
static sqlite3_stmt *begin, *insert, *commit;

static void run(sqlite3_stmt *statement) {
    if (sqlite3_step(statement) != SQLITE_DONE) fail(sqlite3_errmsg(database));
    sqlite3_reset(statement);
}

static sqlite3_stmt *prepare(const char *sql) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) != SQLITE_OK) fail(sqlite3_errmsg(database));
    return statement;
}

static void open_database(const char *path) {
    char script[256];
    snprintf(script, sizeof script,
             "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = %d;"
             "CREATE TABLE message (number INTEGER PRIMARY KEY, body BLOB);", LOG_PAGES);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    if (sqlite3_open(path, &database) != SQLITE_OK || sqlite3_exec(database, script, NULL, NULL, NULL) != SQLITE_OK) {
        fail(sqlite3_errmsg(database));
    }
    begin = prepare("BEGIN IMMEDIATE");
    insert = prepare("INSERT INTO message (body) VALUES (?)");
    commit = prepare("COMMIT");
}

static int messages(const struct request *request) {
    static const char mark[] = "{\"to\":";
    int count = 0;
    const char *place = request->body, *end = place + request->size;
    while (place && (place = memmem(place, (size_t)(end - place), mark, sizeof mark - 1))) place++, count++;
    return count < 1 ? 1 : count > MOST_MESSAGES ? MOST_MESSAGES : count;
}

/// A row of equal size for each of its messages.
static void write_rows(struct request *request) {
    int count = messages(request);
    for (int index = 0; index < count; index++) {
        sqlite3_bind_blob64(insert, 1, request->body, request->size / (size_t)count, SQLITE_STATIC);
        run(insert);
    }
    request->answer = answer(count);
}

static struct request *wait_for_requests(void) {
    pthread_mutex_lock(&lock);
    while (!first) pthread_cond_wait(&arrived, &lock);
    struct request *all = first;
    (first = NULL, last = &first);
    pthread_mutex_unlock(&lock);
    return all;
}

/// Gives requests back to their threads, each of which is woken once.
static void finish(struct request *all) {
    for (struct loop *loop = loops; loop < loops + LOOPS; loop++) {
        bool has_some = false;
        pthread_mutex_lock(&loop->lock);
        for (struct request **place = &all; *place;) {
            struct request *request = *place;
            if (request->loop != loop) {
                place = &request->next;
                continue;
            }
            *place = request->next;
            (request->next = loop->finished, loop->finished = request, has_some = true);
        }
        pthread_mutex_unlock(&loop->lock);
        if (has_some) eventfd_write(loop->wake_up, 1);
    }
}

int main(int count, char **arguments) {
    if (count != 3) fail("usage: farbell-floor PORT DATABASE");
    open_database(arguments[2]);
    greeting = answer(1);
    int listening = listen_on((uint16_t)atoi(arguments[1]));
    start_loops();
    pthread_t acceptor;
    if (pthread_create(&acceptor, NULL, accept_all, &listening) != 0) fail("no thread");
    for (;;) {
        struct request *all = wait_for_requests();
        run(begin);
        for (struct request *request = all; request; request = request->next) write_rows(request);
        run(commit);
        finish(all);
    }
}
