// Farbell's own API over HTTP/1.1 with connections kept alive, as an app with a key.
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/// How long a consumer that waits asks to be kept waiting; one that is told "nothing" asks again.
static const int wait_seconds = 60;

static struct buffer content;

static void request(struct connection *connection, const char *path) {
    buffer_print(&connection->out,
                 "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: farbell-load\r\nAccept: application/json\r\n"
                 "Authorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                 path, settings.port, settings.secret ? settings.secret : "", buffer_count(&content));
    buffer_append(&connection->out, buffer_first(&content), buffer_count(&content));
}

static void greet(struct connection *connection) {
    if (!is_preparing) return;
    buffer_print(&connection->out, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", settings.port);
}

/// - Parameter number: of `paced`; its push is found by the subject.
static void write_message(uint64_t number) {
    static unsigned long long sent;
    if (settings.accounts > 0) {
        buffer_print(&content, "{\"to\":{\"account\":\"%s%llu\"},\"subject\":\"bench-%llu\",", settings.prefix,
                     (unsigned long long)(number % (uint64_t)settings.accounts), (unsigned long long)number);
    } else {
        buffer_print(&content, "{\"to\":{\"app\":\"%s\"},", settings.app);
    }
    if (settings.has_ids) {
        if (sent == 0) sent = now();
        buffer_print(&content, "\"id\":\"%016llx\",", sent++);
    }
    buffer_append(&content, "\"body\":\"", 8);
    buffer_append(&content, body, body_count);
    buffer_append(&content, "\"}", 2);
}

static void put(struct connection *connection, int count) {
    buffer_clear(&content);
    if (count == 1) {
        write_message(connection->tag);
        request(connection, "/v1/messages");
        return;
    }
    buffer_print(&content, "{\"messages\":[");
    for (int index = 0; index < count; index++) {
        if (index > 0) buffer_append(&content, ",", 1);
        write_message(connection->tag);
    }
    buffer_print(&content, "]}");
    request(connection, "/v1/messages/batch");
}

static void take(struct connection *connection, int count, bool waits) {
    buffer_clear(&content);
    buffer_print(&content, "{\"max\":%d,\"waitSeconds\":%d}", count, waits ? wait_seconds : 0);
    request(connection, "/v1/messages/receive");
}

static bool complete(struct connection *connection) {
    buffer_clear(&content);
    const struct held *held = connection->held;
    if (connection->held_count == 1) {
        char path[256];
        buffer_print(&content, "{\"token\":\"%s\"}", held->token);
        snprintf(path, sizeof path, "/v1/messages/%s/complete", held->id);
        request(connection, path);
        return true;
    }
    buffer_print(&content, "{\"settlements\":[");
    for (int index = 0; index < connection->held_count; index++, held++) {
        buffer_print(&content, "%s{\"id\":\"%s\",\"token\":\"%s\",\"as\":\"complete\"}", index > 0 ? "," : "", held->id,
                     held->token);
    }
    buffer_print(&content, "]}");
    request(connection, "/v1/messages/settle");
    return true;
}

// MARK: JSON

/// Where a string's closing quote stands; `place` is behind the opening one.
static const char *string_end(const char *place, const char *end) {
    while ((place = memchr(place, '"', (size_t)(end - place)))) {
        const char *before = place;
        while (before[-1] == '\\') before--;
        if ((place - before) % 2 == 0) return place;
        place++;
    }
    fail("farbell: JSON that does not end");
}

static void copy(char *target, size_t room, const char *from, const char *to) {
    if ((size_t)(to - from) >= room) fail("farbell: an id or token of %zu bytes", (size_t)(to - from));
    memcpy(target, from, (size_t)(to - from));
    target[to - from] = 0;
}

static bool is(const char *from, const char *to, const char *word) {
    return (size_t)(to - from) == strlen(word) && memcmp(from, word, strlen(word)) == 0;
}

/// Keeps id and token of `{"messages":[{"id",…,"receipt":{"token",…}}]}`; the order of the members is free.
static void keep(struct connection *connection, const char *place, const char *end) {
    enum { MESSAGE = 3, RECEIPT = 4 };
    int depth = 0;
    const char *key = NULL, *key_end = NULL;
    for (; place < end; place++) {
        switch (*place) {
        case '{':
        case '[':
            if (++depth == MESSAGE && connection->held_count < MOST_HELD) {
                memset(&connection->held[connection->held_count], 0, sizeof *connection->held);
            }
            key = NULL;
            break;
        case '}':
        case ']':
            if (depth-- == MESSAGE && ++connection->held_count > connection->count) fail("farbell: more than asked for");
            key = NULL;
            break;
        case ',': key = NULL; break;
        case '"': {
            const char *word = ++place;
            place = string_end(place, end);
            struct held *held = &connection->held[connection->held_count];
            if (!key) {
                key = word, key_end = place;
            } else if (depth == MESSAGE && is(key, key_end, "id")) {
                copy(held->id, sizeof held->id, word, place);
            } else if (depth == RECEIPT && is(key, key_end, "token")) {
                copy(held->token, sizeof held->token, word, place);
            }
            break;
        }
        default: break;
        }
    }
    for (int index = 0; index < connection->held_count; index++) {
        const struct held *held = &connection->held[index];
        if (!held->id[0] || !held->token[0]) fail("farbell: a message without id or token");
    }
}

static int occurrences(const char *place, const char *end, const char *word) {
    int count = 0;
    size_t size = strlen(word);
    while ((place = memmem(place, (size_t)(end - place), word, size))) place += size, count++;
    return count;
}

/// Whether the answer says of every message what was asked for.
static bool is_good(struct connection *connection, int status, const char *text, const char *end) {
    switch (connection->verb) {
    case GREET: return status == 200;
    case PUT: return status == 202 && occurrences(text, end, "\"seq\":") == connection->count;
    case TAKE: return status == 200;
    case COMPLETE: return status == 200 && occurrences(text, end, "\"state\":\"done\"") == connection->count;
    }
    return false;
}

static enum reply read_reply(struct connection *connection) {
    struct buffer *in = &connection->in;
    char *head = buffer_first(in);
    char *text = memmem(head, buffer_count(in), "\r\n\r\n", 4);
    if (!text) return PARTIAL;
    *text = 0;
    int status = atoi(head + 9);
    char *length = strcasestr(head, "\r\nContent-Length:");
    if (!length) return refuse(connection, head, strlen(head));
    size_t count = strtoul(length + 17, NULL, 10);
    // The end of the head is looked for again when the rest has come.
    *text = '\r';
    text += 4;
    size_t total = (size_t)(text - head) + count;
    if (buffer_count(in) < total) return PARTIAL;
    if (!is_good(connection, status, text, text + count)) return refuse(connection, head, total);
    if (connection->verb == TAKE) {
        keep(connection, text, text + count);
        if (count < (size_t)connection->held_count * body_count) fail("farbell: a body is missing");
    }
    in->start += total;
    return DONE;
}

const struct protocol farbell_protocol = {"farbell", greet, put, take, complete, read_reply};
