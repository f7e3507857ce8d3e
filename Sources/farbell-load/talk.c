// Many users who talk to each other at a steady rate: from the moment a message is due until its receiver has it. Farbell's
// users hear on their streams and send over a few shared connections; XMPP's do both on their own connection.
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/// XMPP speaks in steps until it may talk; the users of `farbell` are ready once their stream says hello.
enum { STREAM, PROVING, PROVEN, BINDING, ENTERING, READY };
enum { READ_AT_ONCE = 65536, EVENTS_AT_ONCE = 256, MARK = 10 };
/// Not counted: the server gets used to its users.
static const double warmup = 1;
/// What has not come by then after the last one was sent, is missing.
static const double patience = 5;

struct line {
    int descriptor, number, step;
    /// Of those that post: whether an answer is awaited, and to which message.
    bool posts, is_busy, is_full;
    long message;
    struct buffer in, out;
};

static struct {
    int poller;
    bool is_xmpp;
    struct line *users, *posts;
    int ready, post_count;
    long total, first, sent, arrived, doubled;
    uint64_t start, last;
    uint64_t *came;
    struct times taken, accepted;
} talk;

const struct protocol xmpp_protocol = {.name = "xmpp"};

static void watch(struct line *line, int operation) {
    struct epoll_event event = {.events = EPOLLIN | (line->is_full ? EPOLLOUT : 0), .data.ptr = line};
    if (epoll_ctl(talk.poller, operation, line->descriptor, &event) < 0) fail("epoll: %s", strerror(errno));
}

static void flush_line(struct line *line) {
    while (buffer_count(&line->out) > 0) {
        ssize_t count = write(line->descriptor, buffer_first(&line->out), buffer_count(&line->out));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno == EAGAIN) break;
        if (count < 0) fail("cannot write: %s", strerror(errno));
        line->out.start += (size_t)count;
    }
    bool is_full = buffer_count(&line->out) > 0;
    if (!is_full) buffer_clear(&line->out);
    if (is_full == line->is_full) return;
    line->is_full = is_full;
    watch(line, EPOLL_CTL_MOD);
}

static void open_line(struct line *line, int number) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)settings.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    line->number = number;
    line->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(line->descriptor, (struct sockaddr *)&address, sizeof address) < 0) {
        fail("cannot connect to port %d: %s", settings.port, strerror(errno));
    }
    int one = 1;
    setsockopt(line->descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(line->descriptor, F_SETFL, O_NONBLOCK);
    watch(line, EPOLL_CTL_ADD);
}

// MARK: Who talks

static uint64_t due(long message) { return talk.start + (uint64_t)((double)message * 1e9 / settings.rate); }
/// Users take turns, far from one another; each talks to a neighbour, who talks back.
static int sender(long message) { return (int)(message * 7919 % settings.clients); }
static int receiver(long message) { return sender(message) ^ 1; }

static void post(struct line *line, long message) {
    static struct buffer content;
    buffer_clear(&content);
    buffer_print(&content, "{\"to\":{\"account\":\"u%05d\"},\"subject\":\"#%08lx#\",\"body\":\"%.*s\"}", receiver(message),
                 message, (int)body_count, body);
    buffer_print(&line->out,
                 "POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s%d\r\n"
                 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                 settings.port, settings.secret, sender(message), buffer_count(&content));
    buffer_append(&line->out, buffer_first(&content), buffer_count(&content));
    line->is_busy = true;
    line->message = message;
    flush_line(line);
}

static void say(long message) {
    struct line *line = &talk.users[sender(message)];
    buffer_print(&line->out, "<message to='u%05d@localhost' type='chat' id='m%lx'><body>#%08lx#%.*s</body></message>",
                 receiver(message), message, message, (int)body_count, body);
    flush_line(line);
}

/// Sends what is due. A message of Farbell's waits while every connection awaits an answer; its time runs.
static void send_due(void) {
    uint64_t time = now();
    while (talk.sent < talk.total && due(talk.sent) <= time) {
        if (talk.is_xmpp) {
            say(talk.sent++);
            continue;
        }
        struct line *idle = NULL;
        for (int index = 0; index < talk.post_count && !idle; index++) {
            if (!talk.posts[index].is_busy) idle = &talk.posts[index];
        }
        if (!idle) return;
        post(idle, talk.sent++);
    }
}

// MARK: What comes

static void arrive(long message) {
    if (message < 0 || message >= talk.total || !talk.start) return;
    if (talk.came[message]) {
        talk.doubled++;
        return;
    }
    talk.came[message] = talk.last = now();
    talk.arrived++;
    if (message >= talk.first) times_add(&talk.taken, talk.last - due(message));
}

/// Finds the marks of messages; what could be the beginning of one stays.
static void find_marks(struct line *line) {
    struct buffer *in = &line->in;
    char *place = buffer_first(in), *end = place + buffer_count(in);
    while ((place = memchr(place, '#', (size_t)(end - place))) && end - place >= MARK) {
        char *rest;
        long message = strtol(place + 1, &rest, 16);
        bool is_mark = rest == place + MARK - 1 && *rest == '#';
        // The sender's own stream tells what was sent, too.
        if (is_mark && receiver(message) == line->number) arrive(message);
        place += is_mark ? MARK : 1;
    }
    in->start = place ? (size_t)(place - in->bytes) : in->end;
    if (in->start == in->end) buffer_clear(in);
}

static void read_answer(struct line *line) {
    struct buffer *in = &line->in;
    char *head = buffer_first(in);
    char *text = memmem(head, buffer_count(in), "\r\n\r\n", 4);
    if (!text) return;
    char *length = memmem(head, (size_t)(text - head), "Content-Length:", 15);
    if (!length) length = memmem(head, (size_t)(text - head), "content-length:", 15);
    size_t total = (size_t)(text + 4 - head) + (length ? strtoul(length + 15, NULL, 10) : 0);
    if (buffer_count(in) < total) return;
    if (atoi(head + 9) != 202) fail("a message was refused: %.*s", (int)(total > 600 ? 600 : total), head);
    if (line->message >= talk.first) times_add(&talk.accepted, now() - due(line->message));
    line->is_busy = false;
    buffer_clear(in);
}

/// PLAIN: the empty authority, the name and the password, with NUL before each.
static void prove(struct line *line) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char plain[64] = {0}, text[96];
    int count = snprintf(plain + 1, sizeof plain - 1, "u%05d", line->number) + 2;
    count += snprintf(plain + count, sizeof plain - (size_t)count, "%s", settings.secret);
    int end = 0;
    for (int index = 0; index < count; index += 3) {
        uint32_t three = (uint32_t)(unsigned char)plain[index] << 16 | (uint32_t)(unsigned char)plain[index + 1] << 8 |
                         (uint32_t)(unsigned char)plain[index + 2];
        for (int part = 0; part < 4; part++) text[end++] = letters[three >> (18 - 6 * part) & 63];
    }
    for (int missing = (3 - count % 3) % 3; missing > 0; missing--) text[end - missing] = '=';
    buffer_print(&line->out, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%.*s</auth>", end, text);
}

static void begin_stream(struct line *line) {
    buffer_print(&line->out, "<?xml version='1.0'?><stream:stream to='localhost' xmlns='jabber:client' "
                             "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>");
    flush_line(line);
}

/// RFC 6120: features, SASL, features again, a resource; RFC 6121: presence, which comes back.
static void next_step(struct line *line) {
    static const char *const awaited[] = {"</stream:features>", "<success", "</stream:features>", "</iq>", "<presence"};
    struct buffer *in = &line->in;
    if (memmem(buffer_first(in), buffer_count(in), "<failure", 8)) fail("the log-in of u%05d failed", line->number);
    const char *word = awaited[line->step];
    if (!memmem(buffer_first(in), buffer_count(in), word, strlen(word))) return;
    buffer_clear(in);
    switch (line->step++) {
    case STREAM: prove(line); break;
    case PROVING: begin_stream(line); return;
    case PROVEN:
        buffer_print(&line->out, "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
        break;
    case BINDING: buffer_print(&line->out, "<presence/>"); break;
    default: talk.ready++;
    }
    flush_line(line);
}

static void take_input(struct line *line) {
    ssize_t count = read(line->descriptor, buffer_reserve(&line->in, READ_AT_ONCE), READ_AT_ONCE);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) fail("the connection of user %d ended", line->number);
    line->in.end += (size_t)count;
    if (line->posts) {
        read_answer(line);
    } else if (line->step == READY) {
        find_marks(line);
    } else if (talk.is_xmpp) {
        next_step(line);
    } else if (memmem(buffer_first(&line->in), buffer_count(&line->in), "event: hello", 12)) {
        line->step = READY;
        talk.ready++;
        buffer_clear(&line->in);
    } else if (memmem(buffer_first(&line->in), buffer_count(&line->in), "HTTP/1.1 4", 10)) {
        fail("a stream was refused: %.*s", (int)buffer_count(&line->in), buffer_first(&line->in));
    }
}

static void turn_lines(int milliseconds) {
    struct epoll_event events[EVENTS_AT_ONCE];
    int count = epoll_wait(talk.poller, events, EVENTS_AT_ONCE, milliseconds);
    for (int index = 0; index < count; index++) {
        struct line *line = events[index].data.ptr;
        if (events[index].events & EPOLLOUT) flush_line(line);
        if (events[index].events & ~(uint32_t)EPOLLOUT) take_input(line);
    }
}

// MARK: The mode

static void log_in(void) {
    talk.users = calloc((size_t)settings.clients, sizeof *talk.users);
    for (int number = 0; number < settings.clients; number++) {
        struct line *line = &talk.users[number];
        open_line(line, number);
        if (talk.is_xmpp) {
            begin_stream(line);
        } else {
            buffer_print(&line->out, "GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s%d\r\n\r\n",
                         settings.port, settings.secret, number);
            flush_line(line);
        }
        // A few at a time: a server's queue of connections is short.
        while (talk.ready < number - 32) turn_lines(1000);
    }
    uint64_t end = now() + nanoseconds(60);
    while (talk.ready < settings.clients) {
        if (now() > end) fail("only %d of %d users are logged in after 60 s", talk.ready, settings.clients);
        turn_lines(100);
    }
    talk.post_count = talk.is_xmpp ? 0 : settings.batch;
    talk.posts = calloc((size_t)talk.post_count + 1, sizeof *talk.posts);
    for (int number = 0; number < talk.post_count; number++) {
        open_line(&talk.posts[number], number);
        talk.posts[number].posts = true;
    }
}

void talk_mode(void) {
    if (settings.clients % 2 != 0 || settings.rate <= 0 || !settings.secret) fail("talk: --clients even, --rate, --secret-file");
    talk.poller = epoll_create1(EPOLL_CLOEXEC);
    talk.is_xmpp = settings.protocol == &xmpp_protocol;
    talk.first = (long)(warmup * settings.rate);
    talk.total = talk.first + (long)(settings.seconds * settings.rate);
    talk.came = calloc((size_t)talk.total, sizeof *talk.came);
    log_in();
    printf("{\"ready\":true}\n");
    fflush(stdout);
    uint64_t processor = processor_time();
    talk.start = now();
    while (talk.arrived < talk.total && now() < due(talk.total) + nanoseconds(patience)) {
        send_due();
        turn_lines(talk.sent < talk.total ? 1 : 20);
    }
    double seconds = (double)(talk.last - talk.start) / 1e9;
    double share = (double)(processor_time() - processor) / (double)(now() - talk.start);
    printf("{\"messages\":%ld,\"missing\":%ld,\"doubled\":%ld,\"perSecond\":%.1f,\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f,"
           "\"acceptedP50\":%.1f,\"acceptedP99\":%.1f,\"clientShare\":%.4f}\n",
           talk.total, talk.total - talk.arrived, talk.doubled, (double)talk.arrived / seconds,
           times_percentile(&talk.taken, 0.5), times_percentile(&talk.taken, 0.99), times_percentile(&talk.taken, 1),
           times_percentile(&talk.accepted, 0.5), times_percentile(&talk.accepted, 0.99), share);
}
