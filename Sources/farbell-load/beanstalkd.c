// beanstalkd's text protocol (doc/protocol.txt). A batch is a pipeline: it has no command for many.
#include "load.h"

#include <stdlib.h>
#include <string.h>

/// A job is released again after so many seconds; beanstalkd's own examples use 60.
static const int time_to_run = 60;

static void greet(struct connection *connection) {
    // There is no greeting: any command will do.
    if (!is_preparing) return;
    connection->awaited = 1;
    buffer_print(&connection->out, "use default\r\n");
}

static void put(struct connection *connection, int count) {
    for (int index = 0; index < count; index++) {
        buffer_print(&connection->out, "put 0 0 %d %zu\r\n", time_to_run, body_count);
        buffer_append(&connection->out, body, body_count);
        buffer_append(&connection->out, "\r\n", 2);
    }
    connection->awaited = count;
}

static void take(struct connection *connection, int count, bool waits) {
    connection->awaited = count;
    for (int index = 0; index < count; index++) {
        // Only the first one waits: the rest takes what is there.
        bool reserves = waits && index == 0;
        buffer_print(&connection->out, reserves ? "reserve\r\n" : "reserve-with-timeout 0\r\n");
    }
}

static bool complete(struct connection *connection) {
    connection->awaited = connection->held_count;
    for (int index = 0; index < connection->held_count; index++) {
        buffer_print(&connection->out, "delete %llu\r\n", (unsigned long long)connection->held[index].number);
    }
    return true;
}

static enum reply read_reply(struct connection *connection) {
    struct buffer *in = &connection->in;
    char *line = buffer_first(in);
    char *end = memmem(line, buffer_count(in), "\r\n", 2);
    if (!end) return PARTIAL;
    size_t count = (size_t)(end - line) + 2;
    static const char *const expected[] = {"USING ", "INSERTED ", "RESERVED ", "DELETED"};
    const char *word = expected[connection->verb];
    if (connection->verb == TAKE && strncmp(line, "TIMED_OUT", 9) == 0) {
        // Nothing there.
    } else if (strncmp(line, word, strlen(word)) != 0) {
        return refuse(connection, line, count);
    } else if (connection->verb == TAKE) {
        char *rest;
        unsigned long long number = strtoull(line + strlen(word), &rest, 10);
        size_t size = strtoull(rest, NULL, 10);
        count += size + 2;
        if (buffer_count(in) < count) return PARTIAL;
        if (size != body_count) fail("beanstalkd: a job of %zu bytes", size);
        connection->held[connection->held_count++].number = number;
    }
    in->start += count;
    return --connection->awaited > 0 ? MORE : DONE;
}

const struct protocol beanstalkd_protocol = {"beanstalkd", greet, put, take, complete, read_reply};
