// PostgreSQL's protocol, version 3: prepared statements, one round trip each, as a careful client of libpq does.
#include "load.h"

#include <string.h>

/// A column's binary form and its type.
enum { BINARY = 1, TYPE_BYTEA = 17, TYPE_INT8 = 20, TYPE_INT4 = 23 };

#define READY(limit) \
    "SELECT id FROM queue WHERE locked_until < now() ORDER BY id LIMIT " limit " FOR UPDATE SKIP LOCKED"

enum use { PRODUCING, ONE, MANY, LEASING, HOLDING, CONSUMING };

/// A lease is a column, so that a consumer's connection may break; "hold" makes it an open transaction.
static const struct {
    enum use use;
    const char *name, *text;
} statements[] = {
    {PRODUCING, "put", "WITH added AS (INSERT INTO queue (body) VALUES ($1::bytea)) SELECT pg_notify('queue', '')"},
    {PRODUCING, "quiet", "INSERT INTO queue (body) VALUES ($1::bytea)"},
    {PRODUCING, "many", "INSERT INTO queue (body) SELECT unnest($1::bytea[])"},
    {ONE, "take", "UPDATE queue SET locked_until = now() + interval '60 s', delivery = delivery + 1"
             " WHERE id = (" READY("1") ") RETURNING id, body, delivery"},
    {MANY, "some", "UPDATE queue SET locked_until = now() + interval '60 s', delivery = delivery + 1"
             " WHERE id = ANY (ARRAY(" READY("$1") ")) RETURNING id, body, delivery"},
    {CONSUMING, "done", "DELETE FROM queue WHERE id = ANY ($1::int8[])"},
    {HOLDING, "hold", "SELECT id, body, delivery FROM queue ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED"},
    {HOLDING, "begin", "BEGIN"},
    {HOLDING, "commit", "COMMIT"},
    {LEASING, "listen", "LISTEN queue"},
};

/// Begins a message of a type (0 for none); returns where its length stands.
static size_t open_message(struct buffer *out, char type) {
    if (type) buffer_append(out, &type, 1);
    size_t place = out->end - out->start;
    buffer_number(out, 0, 4);
    return place;
}

static void close_message(struct buffer *out, size_t place) {
    uint32_t count = (uint32_t)(out->end - out->start - place);
    char *bytes = buffer_first(out) + place;
    for (int index = 0; index < 4; index++) bytes[index] = (char)(count >> (8 * (3 - index)));
}

static void text(struct buffer *out, const char *words) { buffer_append(out, words, strlen(words) + 1); }

static void sync(struct buffer *out) { close_message(out, open_message(out, 'S')); }

static void greet(struct connection *connection) {
    struct buffer *out = &connection->out;
    size_t place = open_message(out, 0);
    buffer_number(out, 196608, 4);
    text(out, "user");
    text(out, settings.user);
    text(out, "database");
    text(out, "postgres");
    text(out, "");
    close_message(out, place);
    connection->step = 0;
}

static bool is_open(void) { return settings.protocol == &postgresql_open_protocol; }

/// Whether a connection will execute statements of that use: it prepares no others.
static bool needs(const struct connection *connection, enum use use) {
    if (!connection->consumes) return use == PRODUCING;
    switch (use) {
    case PRODUCING: return false;
    case ONE: return !is_open() && settings.batch == 1;
    case MANY: return !is_open() && settings.batch > 1;
    case LEASING: return !is_open();
    case HOLDING: return is_open();
    case CONSUMING: return true;
    }
    return false;
}

/// Asks for the statements to be prepared.
static void prepare(struct connection *connection) {
    struct buffer *out = &connection->out;
    for (size_t index = 0; index < sizeof statements / sizeof *statements; index++) {
        if (!needs(connection, statements[index].use)) continue;
        size_t place = open_message(out, 'P');
        text(out, statements[index].name);
        text(out, statements[index].text);
        buffer_number(out, 0, 2);
        close_message(out, place);
    }
    sync(out);
}

/// Binds a statement's only argument, if any, and executes it.
static void execute(struct buffer *out, const char *name, const struct buffer *argument) {
    size_t place = open_message(out, 'B');
    text(out, "");
    text(out, name);
    buffer_number(out, 1, 2);
    buffer_number(out, BINARY, 2);
    buffer_number(out, argument ? 1 : 0, 2);
    if (argument) {
        buffer_number(out, buffer_count(argument), 4);
        buffer_append(out, argument->bytes, buffer_count(argument));
    }
    buffer_number(out, 1, 2);
    buffer_number(out, BINARY, 2);
    close_message(out, place);
    place = open_message(out, 'E');
    text(out, "");
    buffer_number(out, 0, 4);
    close_message(out, place);
}

static void array_head(struct buffer *argument, int type, int count) {
    buffer_clear(argument);
    buffer_number(argument, 1, 4);
    buffer_number(argument, 0, 4);
    buffer_number(argument, (uint64_t)type, 4);
    buffer_number(argument, (uint64_t)count, 4);
    buffer_number(argument, 1, 4);
}

/// Whether somebody waits for messages: then an insert notifies.
static bool notifies;

static void put(struct connection *connection, int count) {
    static struct buffer argument;
    if (count == 1) {
        buffer_clear(&argument);
        buffer_append(&argument, body, body_count);
    } else {
        array_head(&argument, TYPE_BYTEA, count);
        for (int index = 0; index < count; index++) {
            buffer_number(&argument, body_count, 4);
            buffer_append(&argument, body, body_count);
        }
    }
    execute(&connection->out, count > 1 ? "many" : notifies ? "put" : "quiet", &argument);
    sync(&connection->out);
}

static void write_take(struct connection *connection) {
    static struct buffer argument;
    buffer_clear(&argument);
    buffer_number(&argument, (uint64_t)connection->count, 8);
    // After an empty answer the transaction is still open.
    if (is_open() && !connection->step) execute(&connection->out, "begin", NULL);
    if (is_open()) connection->step = 1;
    bool is_single = settings.batch == 1;
    execute(&connection->out, is_open() ? "hold" : is_single ? "take" : "some",
            is_single && !is_open() ? NULL : &argument);
    sync(&connection->out);
}

static void take(struct connection *connection, int count, bool waits) {
    connection->count = count;
    if (waits && !notifies && !is_open()) {
        notifies = true;
        execute(&connection->out, "listen", NULL);
    }
    // A notification means that it is worth looking again.
    connection->flag = false;
    write_take(connection);
}

static bool complete(struct connection *connection) {
    static struct buffer argument;
    array_head(&argument, TYPE_INT8, connection->held_count);
    for (int index = 0; index < connection->held_count; index++) {
        buffer_number(&argument, 8, 4);
        buffer_number(&argument, connection->held[index].number, 8);
    }
    execute(&connection->out, "done", &argument);
    if (is_open()) execute(&connection->out, "commit", NULL);
    sync(&connection->out);
    connection->step = 0;
    return true;
}

/// The id of a row, which is its first column; the second is the body.
static void keep(struct connection *connection, const char *row) {
    if (number_at(row, 2) < 3) return;
    if (number_at(row + 2, 4) != 8) fail("postgresql: an id of %d bytes", (int)number_at(row + 2, 4));
    if (number_at(row + 14, 4) != body_count) fail("postgresql: a body of another size");
    if (connection->held_count < MOST_HELD) connection->held[connection->held_count++].number = number_at(row + 6, 8);
}

/// The server is ready for the next request.
static enum reply ready(struct connection *connection) {
    if (connection->verb == GREET) {
        if (connection->step++ > 0) {
            connection->step = 0;
            return DONE;
        }
        prepare(connection);
        return MORE;
    }
    if (connection->verb == TAKE && connection->waits && connection->held_count == 0) {
        if (connection->flag) write_take(connection);
        // Ready, and waiting for a notification.
        connection->awaited = connection->flag ? 0 : 1;
        connection->flag = false;
        return MORE;
    }
    return DONE;
}

static enum reply read_reply(struct connection *connection) {
    struct buffer *in = &connection->in;
    if (buffer_count(in) < 5) return PARTIAL;
    const char *message = buffer_first(in);
    size_t count = 1 + number_at(message + 1, 4);
    if (buffer_count(in) < count) return PARTIAL;
    in->start += count;
    switch (*message) {
    case 'E': return refuse(connection, message + 5, count - 5);
    case 'D': keep(connection, message + 5); return MORE;
    case 'A':
        connection->flag = true;
        if (connection->awaited && connection->verb == TAKE) {
            connection->awaited = 0;
            connection->flag = false;
            write_take(connection);
        }
        return MORE;
    case 'Z': return ready(connection);
    default: return MORE;
    }
}

const struct protocol postgresql_protocol = {"postgresql", greet, put, take, complete, read_reply};
const struct protocol postgresql_open_protocol = {"postgresql-open", greet, put, take, complete, read_reply};
