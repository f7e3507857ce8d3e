// libmicrohttpd; the variadic functions are wrapped here, one wrapper for each use. GnuTLS is the
// library's own TLS; its headers are here because a reloadable certificate is handed over as its types.
#pragma once
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/abstract.h>
#include <microhttpd.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

// The callbacks of a daemon; all get `context`.
struct farbell_mhd_callbacks {
    MHD_AccessHandlerCallback access;
    void *(*target)(void *context, const char *uri, struct MHD_Connection *connection);
    MHD_RequestCompletedCallback completed;
    MHD_NotifyConnectionCallback connection;
    size_t (*unescape)(void *context, struct MHD_Connection *connection, char *text);
    void *context;
};

// Starts a daemon; `options` ends with MHD_OPTION_END.
static inline struct MHD_Daemon *farbell_mhd_start(
    unsigned int flags, const struct farbell_mhd_callbacks *callbacks, struct MHD_OptionItem *options) {
    return MHD_start_daemon(
        flags, 0, NULL, NULL, callbacks->access, callbacks->context, MHD_OPTION_URI_LOG_CALLBACK, callbacks->target,
        callbacks->context, MHD_OPTION_NOTIFY_COMPLETED, callbacks->completed, callbacks->context,
        MHD_OPTION_NOTIFY_CONNECTION, callbacks->connection, callbacks->context, MHD_OPTION_UNESCAPE_CALLBACK,
        callbacks->unescape, callbacks->context, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

// What was set as the connection's own context when it was accepted.
static inline void *farbell_mhd_socket_context(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}

static inline int farbell_mhd_descriptor(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == NULL ? -1 : info->connect_fd;
}

static inline const struct sockaddr *farbell_mhd_peer(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info == NULL ? NULL : info->client_addr;
}

// Glibc shows it only to GNU sources.
extern int accept4(int, struct sockaddr *, socklen_t *, int);

// The next connection, or -1. Not inherited by programs that are started, and never waited for.
static inline int farbell_accept(int listening, struct sockaddr_storage *peer, socklen_t *size) {
    return accept4(listening, (struct sockaddr *)peer, size, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

// Gives a connection to one of the daemon's threads; the daemon closes it also when it refuses it.
static inline enum MHD_Result farbell_mhd_add(
    struct MHD_Daemon *daemon, int connection, const struct sockaddr_storage *peer, socklen_t size) {
    return MHD_add_connection(daemon, connection, (const struct sockaddr *)peer, size);
}

// The daemon's own poll set, or -1.
static inline int farbell_mhd_polling(struct MHD_Daemon *daemon) {
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
    return info == NULL ? -1 : info->epoll_fd;
}

// Milliseconds after which the daemon has to run although nothing happens; -1 for never.
static inline int farbell_mhd_timeout(struct MHD_Daemon *daemon) {
    MHD_UNSIGNED_LONG_LONG milliseconds;
    if (MHD_get_timeout(daemon, &milliseconds) != MHD_YES) return -1;
    return milliseconds > 3600000 ? 3600000 : (int)milliseconds;
}

// Makes TLS ask `retrieve` for the certificate at every handshake.
static inline struct MHD_OptionItem farbell_mhd_certificate_option(gnutls_certificate_retrieve_function2 *retrieve) {
    struct MHD_OptionItem item = {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)retrieve};
    return item;
}

// Glibc shows the first only to GNU sources; the others are enumerations that Swift does not see as numbers.
enum { farbell_POLLRDHUP = 0x2000 };

// A poll set. What is watched for is reported once; watch again for more.
static inline int farbell_poll_set(void) { return epoll_create1(EPOLL_CLOEXEC); }

enum { farbell_READABLE = EPOLLIN, farbell_WRITABLE = EPOLLOUT, farbell_HANG_UP = EPOLLRDHUP };

struct farbell_poll_event {
    uint64_t id;
    int hung_up;
};

static inline int farbell_poll_watch(int set, int descriptor, uint64_t id, uint32_t events, int is_new) {
    struct epoll_event event = {.events = events | EPOLLONESHOT, .data = {.u64 = id}};
    return epoll_ctl(set, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, descriptor, &event);
}

// Watches for what can be read, and reports it as long as it is there.
static inline int farbell_poll_level(int set, int descriptor) {
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = descriptor}};
    return epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event);
}

// Waits until anything that is watched can be read, or so many milliseconds.
static inline void farbell_poll_any(int set, int milliseconds) {
    struct epoll_event events[2];
    (void)epoll_wait(set, events, 2, milliseconds);
}

static inline int farbell_poll_remove(int set, int descriptor) {
    struct epoll_event event = {0};
    return epoll_ctl(set, EPOLL_CTL_DEL, descriptor, &event);
}

// Waits without limit for up to 64 events; returns how many, or -1.
static inline int farbell_poll_wait(int set, struct farbell_poll_event result[64]) {
    struct epoll_event events[64];
    int count = epoll_wait(set, events, 64, -1);
    for (int i = 0; i < count; i++) {
        result[i].id = events[i].data.u64;
        result[i].hung_up = (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    }
    return count;
}

static inline int farbell_event(void) { return eventfd(0, EFD_CLOEXEC); }

// A second descriptor of the same socket.
static inline int farbell_duplicate(int descriptor) { return fcntl(descriptor, F_DUPFD_CLOEXEC, 0); }
