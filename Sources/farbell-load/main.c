#include "load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settings settings = {.clients = 1, .batch = 1, .seconds = 2, .rounds = 11, .app = "bench", .user = "postgres", .prefix = "u"};
char *body;
size_t body_count = 512;
bool patient;
bool is_preparing;

static const struct protocol *const protocols[] = {
    &farbell_protocol,  &beanstalkd_protocol, &redis_protocol,
    &rabbitmq_protocol, &postgresql_protocol, &postgresql_open_protocol, &xmpp_protocol,
};

static const struct {
    const char *name;
    void (*run)(void);
} modes[] = {
    {"put", put_mode}, {"take", take_mode}, {"handoff", handoff_mode}, {"drain", drain_mode}, {"first", first_mode},
    {"ready", ready_mode}, {"talk", talk_mode},       {"paced", paced_mode},
};

/// The first line of a file.
static const char *line_of(const char *path) {
    static char line[512];
    FILE *file = fopen(path, "re");
    if (!file || !fgets(line, sizeof line, file)) fail("cannot read %s", path);
    fclose(file);
    line[strcspn(line, "\r\n")] = 0;
    return line;
}

static void set(const char *name, const char *value) {
    if (strcmp(name, "--port") == 0) {
        settings.port = atoi(value);
    } else if (strcmp(name, "--clients") == 0) {
        settings.clients = atoi(value);
    } else if (strcmp(name, "--batch") == 0) {
        settings.batch = atoi(value);
    } else if (strcmp(name, "--seconds") == 0) {
        settings.seconds = atof(value);
    } else if (strcmp(name, "--rate") == 0) {
        settings.rate = atof(value);
    } else if (strcmp(name, "--count") == 0) {
        settings.count = atol(value);
    } else if (strcmp(name, "--rounds") == 0) {
        settings.rounds = atoi(value);
    } else if (strcmp(name, "--body") == 0) {
        body_count = (size_t)atol(value);
    } else if (strcmp(name, "--ids") == 0) {
        settings.has_ids = atoi(value) != 0;
    } else if (strcmp(name, "--app") == 0) {
        settings.app = value;
    } else if (strcmp(name, "--secret-file") == 0) {
        settings.secret = line_of(value);
    } else if (strcmp(name, "--accounts") == 0) {
        settings.accounts = atol(value);
    } else if (strcmp(name, "--prefix") == 0) {
        settings.prefix = value;
    } else if (strcmp(name, "--user") == 0) {
        settings.user = value;
    } else if (strcmp(name, "--since") == 0) {
        settings.server_start = strtoull(value, NULL, 10);
    } else {
        fail("unknown option %s", name);
    }
}

int main(int count, char **words) {
    if (count < 3) {
        fprintf(stderr, "usage: farbell-load PEER put|take|handoff|drain|first|ready|talk|paced --port N [--clients N] [--batch N]\n"
                        "  [--seconds S] [--count N] [--rounds N] [--body BYTES] [--ids 0|1] [--app NAME]\n"
                        "  [--secret-file FILE] [--user NAME] [--since NANOSECONDS] [--rate N]\n"
                        "  [--accounts N] [--prefix TEXT]\n");
        return 64;
    }
    signal(SIGPIPE, SIG_IGN);
    for (size_t index = 0; index < sizeof protocols / sizeof *protocols; index++) {
        if (strcmp(words[1], protocols[index]->name) == 0) settings.protocol = protocols[index];
    }
    if (!settings.protocol) fail("unknown peer %s", words[1]);
    for (int index = 3; index + 1 < count; index += 2) set(words[index], words[index + 1]);
    if (count % 2 == 0) fail("%s needs a value", words[count - 1]);
    if (settings.clients < 1 || settings.batch < 1 || settings.batch > MOST_HELD) fail("sizes out of range");
    body = malloc(body_count);
    for (size_t index = 0; index < body_count; index++) body[index] = (char)('a' + index % 26);
    for (size_t index = 0; index < sizeof modes / sizeof *modes; index++) {
        if (strcmp(words[2], modes[index].name) != 0) continue;
        modes[index].run();
        return 0;
    }
    fail("unknown mode %s", words[2]);
}
