// AMQP 0-9-1 to a quorum queue: publisher confirms; a consumer with as much prefetch as a batch has.
// RabbitMQ does not answer an acknowledgement; with the prefetch used up, the next delivery comes after it.
#include "load.h"

#include <string.h>

enum { METHOD = 1, HEADER = 2, BODY = 3, FRAME_END = 0xCE, CHANNEL = 1 };
enum { CONNECTION = 10, CHANNELS = 20, QUEUE = 50, BASIC = 60, CONFIRM = 85 };

/// A class and a method in one number.
#define METHOD_ID(class, method) ((uint32_t)(class) << 16 | (method))

static size_t open_frame(struct buffer *out, int type, int channel) {
    buffer_number(out, (uint64_t)type, 1);
    buffer_number(out, (uint64_t)channel, 2);
    size_t place = out->end - out->start;
    buffer_number(out, 0, 4);
    return place;
}

static void close_frame(struct buffer *out, size_t place) {
    uint32_t count = (uint32_t)(out->end - out->start - place - 4);
    char *bytes = buffer_first(out) + place;
    for (int index = 0; index < 4; index++) bytes[index] = (char)(count >> (8 * (3 - index)));
    buffer_number(out, FRAME_END, 1);
}

static size_t open_method(struct buffer *out, int channel, int class, int method) {
    size_t place = open_frame(out, METHOD, channel);
    buffer_number(out, (uint64_t)class, 2);
    buffer_number(out, (uint64_t)method, 2);
    return place;
}

static void short_text(struct buffer *out, const char *text) {
    buffer_number(out, strlen(text), 1);
    buffer_append(out, text, strlen(text));
}

static void long_text(struct buffer *out, const char *text, size_t count) {
    buffer_number(out, count, 4);
    buffer_append(out, text, count);
}

static void greet(struct connection *connection) { buffer_append(&connection->out, "AMQP\0\0\x09\x01", 8); }

static void start(struct buffer *out) {
    size_t place = open_method(out, 0, CONNECTION, 11);
    buffer_number(out, 0, 4);
    short_text(out, "PLAIN");
    long_text(out, "\0guest\0guest", 12);
    short_text(out, "en_US");
    close_frame(out, place);
}

static void open_connection(struct buffer *out, const char *tune) {
    size_t place = open_method(out, 0, CONNECTION, 31);
    // The server's limits, and no heartbeats.
    buffer_append(out, tune, 6);
    buffer_number(out, 0, 2);
    close_frame(out, place);
    place = open_method(out, 0, CONNECTION, 40);
    short_text(out, "/");
    buffer_number(out, 0, 2);
    close_frame(out, place);
}

static void open_channel(struct buffer *out) {
    size_t place = open_method(out, CHANNEL, CHANNELS, 10);
    buffer_number(out, 0, 1);
    close_frame(out, place);
}

static void declare(struct buffer *out) {
    size_t place = open_method(out, CHANNEL, QUEUE, 10);
    buffer_number(out, 0, 2);
    short_text(out, "queue");
    // Durable.
    buffer_number(out, 2, 1);
    buffer_number(out, 24, 4);
    short_text(out, "x-queue-type");
    buffer_append(out, "S", 1);
    buffer_number(out, 6, 4);
    buffer_append(out, "quorum", 6);
    close_frame(out, place);
}

static void confirm(struct buffer *out) {
    size_t place = open_method(out, CHANNEL, CONFIRM, 10);
    buffer_number(out, 0, 1);
    close_frame(out, place);
}

// MARK: Requests

/// The tags of a batch that are not confirmed yet: `tag` + 1 and so on.
static bool confirmed[4096][MOST_HELD];

static bool *confirmations(const struct connection *connection) { return confirmed[connection->number % 4096]; }

static void put(struct connection *connection, int count) {
    struct buffer *out = &connection->out;
    for (int index = 0; index < count; index++) {
        size_t place = open_method(out, CHANNEL, BASIC, 40);
        buffer_number(out, 0, 2);
        short_text(out, "");
        short_text(out, "queue");
        buffer_number(out, 0, 1);
        close_frame(out, place);
        place = open_frame(out, HEADER, CHANNEL);
        buffer_number(out, BASIC, 2);
        buffer_number(out, 0, 2);
        buffer_number(out, body_count, 8);
        // Only the delivery mode: persistent.
        buffer_number(out, 0x1000, 2);
        buffer_number(out, 2, 1);
        close_frame(out, place);
        place = open_frame(out, BODY, CHANNEL);
        buffer_append(out, body, body_count);
        close_frame(out, place);
    }
    memset(confirmations(connection), 0, sizeof *confirmed);
    connection->awaited = count;
}

static void take(struct connection *connection, int count, bool waits) {
    (void)waits;
    // Once: after that the messages come by themselves.
    if (connection->flag) return;
    connection->flag = true;
    struct buffer *out = &connection->out;
    size_t place = open_method(out, CHANNEL, BASIC, 10);
    buffer_number(out, 0, 4);
    buffer_number(out, (uint64_t)count, 2);
    buffer_number(out, 0, 1);
    close_frame(out, place);
    place = open_method(out, CHANNEL, BASIC, 20);
    buffer_number(out, 0, 2);
    short_text(out, "queue");
    short_text(out, "");
    buffer_number(out, 0, 1);
    buffer_number(out, 0, 4);
    close_frame(out, place);
}

static bool complete(struct connection *connection) {
    size_t place = open_method(&connection->out, CHANNEL, BASIC, 80);
    buffer_number(&connection->out, connection->tag, 8);
    buffer_number(&connection->out, connection->held_count > 1, 1);
    close_frame(&connection->out, place);
    return false;
}

// MARK: Replies

static enum reply acknowledged(struct connection *connection, uint64_t tag, bool is_multiple) {
    bool *marks = confirmations(connection);
    for (uint64_t each = is_multiple ? connection->tag + 1 : tag; each <= tag; each++) {
        uint64_t index = each - connection->tag - 1;
        if (index >= (uint64_t)connection->count) fail("rabbitmq: a confirmation of something else");
        if (!marks[index]) connection->awaited--;
        marks[index] = true;
    }
    if (connection->awaited > 0) return MORE;
    connection->tag += (uint64_t)connection->count;
    return DONE;
}

static enum reply method(struct connection *connection, const char *payload, size_t count) {
    struct buffer *out = &connection->out;
    const char *rest = payload + 4;
    switch (number_at(payload, 4)) {
    case METHOD_ID(CONNECTION, 10): start(out); return MORE;
    case METHOD_ID(CONNECTION, 30): open_connection(out, rest); return MORE;
    case METHOD_ID(CONNECTION, 41): open_channel(out); return MORE;
    case METHOD_ID(CHANNELS, 11): declare(out); return MORE;
    case METHOD_ID(QUEUE, 11):
        if (connection->consumes) return DONE;
        confirm(out);
        return MORE;
    case METHOD_ID(CONFIRM, 11): return DONE;
    case METHOD_ID(BASIC, 11):
    case METHOD_ID(BASIC, 21): return MORE;
    case METHOD_ID(BASIC, 60): connection->tag = number_at(rest + 1 + (unsigned char)*rest, 8); return MORE;
    case METHOD_ID(BASIC, 80): return acknowledged(connection, number_at(rest, 8), rest[8] & 1);
    default: return refuse(connection, payload, count);
    }
}

static enum reply read_reply(struct connection *connection) {
    struct buffer *in = &connection->in;
    if (buffer_count(in) < 7) return PARTIAL;
    const char *frame = buffer_first(in);
    size_t count = number_at(frame + 3, 4);
    if (buffer_count(in) < count + 8) return PARTIAL;
    in->start += count + 8;
    if (*frame == METHOD) return method(connection, frame + 7, count);
    if (*frame == HEADER && number_at(frame + 11, 8) != body_count) fail("rabbitmq: a body of another size");
    if (*frame != BODY) return MORE;
    connection->held_count++;
    return connection->held_count == connection->count ? DONE : MORE;
}

const struct protocol rabbitmq_protocol = {"rabbitmq", greet, put, take, complete, read_reply};
