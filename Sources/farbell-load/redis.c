// Redis streams over RESP2: XADD, XREADGROUP, then XACK and XDEL. A consumer group keeps who has what.
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void word(struct buffer *out, const char *text) { buffer_print(out, "$%zu\r\n%s\r\n", strlen(text), text); }

static void words(struct buffer *out, int extra, const char *const *all, int count) {
    buffer_print(out, "*%d\r\n", count + extra);
    for (int index = 0; index < count; index++) word(out, all[index]);
}

static void greet(struct connection *connection) {
    static const char *const command[] = {"XGROUP", "CREATE", "queue", "group", "0", "MKSTREAM"};
    if (!is_preparing) return;
    words(&connection->out, 0, command, 6);
    connection->awaited = 1;
}

static void put(struct connection *connection, int count) {
    static const char *const command[] = {"XADD", "queue", "*", "body"};
    static const char *const multi[] = {"MULTI"}, *const exec[] = {"EXEC"};
    // A transaction, because a pipeline is read and synced in several pieces.
    bool is_batch = count > 1;
    if (is_batch) words(&connection->out, 0, multi, 1);
    for (int index = 0; index < count; index++) {
        words(&connection->out, 1, command, 4);
        buffer_print(&connection->out, "$%zu\r\n", body_count);
        buffer_append(&connection->out, body, body_count);
        buffer_append(&connection->out, "\r\n", 2);
    }
    if (is_batch) words(&connection->out, 0, exec, 1);
    connection->awaited = is_batch ? count + 2 : 1;
}

static void take(struct connection *connection, int count, bool waits) {
    struct buffer *out = &connection->out;
    static const char *const head[] = {"XREADGROUP", "GROUP", "group"};
    static const char *const tail[] = {"STREAMS", "queue", ">"};
    char text[32];
    words(out, waits ? 8 : 6, head, 3);
    snprintf(text, sizeof text, "c%d", connection->number);
    word(out, text);
    word(out, "COUNT");
    snprintf(text, sizeof text, "%d", count);
    word(out, text);
    if (waits) {
        word(out, "BLOCK");
        word(out, "0");
    }
    for (int index = 0; index < 3; index++) word(out, tail[index]);
    connection->awaited = 1;
}

static bool complete(struct connection *connection) {
    static const char *const acknowledge[] = {"XACK", "queue", "group"};
    static const char *const delete[] = {"XDEL", "queue"};
    for (int step = 0; step < 2; step++) {
        words(&connection->out, connection->held_count, step == 0 ? acknowledge : delete, step == 0 ? 3 : 2);
        for (int index = 0; index < connection->held_count; index++) word(&connection->out, connection->held[index].id);
    }
    connection->awaited = 2;
    return true;
}

/// Where the value at `place` ends, or nil when it is not all there.
static const char *skip(const char *place, const char *end) {
    const char *line = place < end ? memmem(place, (size_t)(end - place), "\r\n", 2) : NULL;
    if (!line) return NULL;
    long number = strtol(place + 1, NULL, 10);
    const char *next = line + 2;
    if (*place == '$' && number >= 0) return next + number + 2 <= end ? next + number + 2 : NULL;
    if (*place != '*') return next;
    for (long index = 0; index < number && next; index++) next = skip(next, end);
    return next;
}

static const char *after_line(const char *place, const char *end) {
    return (const char *)memmem(place, (size_t)(end - place), "\r\n", 2) + 2;
}

/// *1 *2 $stream *COUNT { *2 $id *2 $field $body }, all there.
static void keep(struct connection *connection, const char *place, const char *end) {
    if (strncmp(place, "*-1", 3) == 0) return;
    place = after_line(after_line(place, end), end);
    place = skip(place, end);
    long count = strtol(place + 1, NULL, 10);
    place = after_line(place, end);
    for (long index = 0; index < count && connection->held_count < MOST_HELD; index++) {
        const char *entry = place;
        const char *id = after_line(entry, end);
        size_t size = strtoul(id + 1, NULL, 10);
        struct held *held = &connection->held[connection->held_count++];
        if (size >= sizeof held->id) fail("redis: an id of %zu bytes", size);
        memcpy(held->id, after_line(id, end), size);
        held->id[size] = 0;
        place = skip(entry, end);
        if ((size_t)(place - entry) < body_count) fail("redis: a short entry");
    }
}

static enum reply read_reply(struct connection *connection) {
    struct buffer *in = &connection->in;
    const char *first = buffer_first(in);
    const char *end = first + buffer_count(in);
    const char *next = skip(first, end);
    if (!next) return PARTIAL;
    bool is_fine = *first != '-';
    if (connection->verb == GREET) is_fine = is_fine || strncmp(first, "-BUSYGROUP", 10) == 0;
    if (connection->verb == COMPLETE) is_fine = is_fine && strtol(first + 1, NULL, 10) == connection->held_count;
    if (!is_fine) return refuse(connection, first, (size_t)(next - first));
    if (connection->verb == TAKE) keep(connection, first, end);
    in->start += (size_t)(next - first);
    return --connection->awaited > 0 ? MORE : DONE;
}

const struct protocol redis_protocol = {"redis", greet, put, take, complete, read_reply};
