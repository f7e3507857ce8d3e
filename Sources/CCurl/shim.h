// What Swift cannot call of libcurl directly (variadic functions) as static inline functions, one for
// each argument type. The parentheses switch off curl's type-checking macros.
#pragma once
#include <curl/curl.h>
// The event loop that drives libcurl; Swift's Glibc module lacks these two.
#include <sys/epoll.h>
#include <sys/eventfd.h>

static inline CURLcode farbell_easy_set_long(CURL *easy, CURLoption option, long value) {
    return (curl_easy_setopt)(easy, option, value);
}

static inline CURLcode farbell_easy_set_size(CURL *easy, CURLoption option, curl_off_t value) {
    return (curl_easy_setopt)(easy, option, value);
}

// A NULL string resets the option.
static inline CURLcode farbell_easy_set_string(CURL *easy, CURLoption option, const char *value) {
    return (curl_easy_setopt)(easy, option, value);
}

static inline CURLcode farbell_easy_set_pointer(CURL *easy, CURLoption option, const void *value) {
    return (curl_easy_setopt)(easy, option, value);
}

typedef size_t (*farbell_data_callback)(char *bytes, size_t size, size_t count, void *context);

static inline CURLcode farbell_easy_set_data_callback(CURL *easy, CURLoption option, farbell_data_callback callback) {
    return (curl_easy_setopt)(easy, option, callback);
}

static inline CURLcode farbell_easy_set_open_socket(CURL *easy, curl_opensocket_callback callback, void *context) {
    CURLcode code = (curl_easy_setopt)(easy, CURLOPT_OPENSOCKETDATA, context);
    return code != CURLE_OK ? code : (curl_easy_setopt)(easy, CURLOPT_OPENSOCKETFUNCTION, callback);
}

static inline CURLcode farbell_easy_set_before_request(CURL *easy, curl_prereq_callback callback, void *context) {
    CURLcode code = (curl_easy_setopt)(easy, CURLOPT_PREREQDATA, context);
    return code != CURLE_OK ? code : (curl_easy_setopt)(easy, CURLOPT_PREREQFUNCTION, callback);
}

static inline CURLcode farbell_easy_get_long(CURL *easy, CURLINFO info, long *value) {
    return (curl_easy_getinfo)(easy, info, value);
}

static inline CURLcode farbell_easy_get_string(CURL *easy, CURLINFO info, const char **value) {
    return (curl_easy_getinfo)(easy, info, value);
}

// CURL_SOCKET_BAD when the handle has no connection.
static inline curl_socket_t farbell_easy_active_socket(CURL *easy) {
    curl_socket_t descriptor = CURL_SOCKET_BAD;
    (void)(curl_easy_getinfo)(easy, CURLINFO_ACTIVESOCKET, &descriptor);
    return descriptor;
}

static inline CURLMcode farbell_multi_set_long(CURLM *multi, CURLMoption option, long value) {
    return (curl_multi_setopt)(multi, option, value);
}

static inline CURLMcode farbell_multi_set_callbacks(
    CURLM *multi, curl_socket_callback socket, curl_multi_timer_callback timer, void *context
) {
    CURLMcode code = (curl_multi_setopt)(multi, CURLMOPT_SOCKETFUNCTION, socket);
    if (code == CURLM_OK) code = (curl_multi_setopt)(multi, CURLMOPT_SOCKETDATA, context);
    if (code == CURLM_OK) code = (curl_multi_setopt)(multi, CURLMOPT_TIMERFUNCTION, timer);
    if (code == CURLM_OK) code = (curl_multi_setopt)(multi, CURLMOPT_TIMERDATA, context);
    return code;
}

// Takes the next finished transfer off the multi's list; hides the union in CURLMsg.
// Returns NULL when there is none.
static inline CURL *farbell_multi_next_done(CURLM *multi, CURLcode *result) {
    int remaining = 0;
    CURLMsg *message;
    while ((message = curl_multi_info_read(multi, &remaining))) {
        if (message->msg == CURLMSG_DONE) {
            *result = message->data.result;
            return message->easy_handle;
        }
    }
    return NULL;
}

// Declared here and not included: libcurl's development package does not bring OpenSSL's headers.
extern void SSL_get0_alpn_selected(const void *connection, const unsigned char **name, unsigned int *length);
extern void SSL_set_read_ahead(void *connection, int yes);
extern int SSL_CTX_set_alpn_protos(void *context, const unsigned char *names, unsigned int length);

static inline CURLcode farbell_offer_http2(CURL *easy, void *context, void *user) {
    static const unsigned char names[] = "\x02h2\x08http/1.1";
    (void)easy;
    (void)user;
    return SSL_CTX_set_alpn_protos(context, names, sizeof names - 1) == 0 ? CURLE_OK : CURLE_OUT_OF_MEMORY;
}

// Has TLS offer HTTP/2 (RFC 7301) without libcurl's knowing: for a connection on which another speaks it. Where libcurl
// itself offers it, 7.88 begins to speak as soon as it is agreed, also with CURLOPT_CONNECT_ONLY.
static inline CURLcode farbell_easy_offer_http2(CURL *easy) {
    CURLcode code = (curl_easy_setopt)(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    if (code == CURLE_OK) code = (curl_easy_setopt)(easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
    return code != CURLE_OK ? code : (curl_easy_setopt)(easy, CURLOPT_SSL_CTX_FUNCTION, farbell_offer_http2);
}

// OpenSSL's side of the connection the handle uses now; NULL without one.
static inline void *farbell_easy_tls(CURL *easy) {
    struct curl_tlssessioninfo *session = NULL;
    if ((curl_easy_getinfo)(easy, CURLINFO_TLS_SSL_PTR, &session) != CURLE_OK || !session
        || session->backend != CURLSSLBACKEND_OPENSSL) {
        return NULL;
    }
    return session->internals;
}

// Has OpenSSL read as much as there is, and not a record's head and then its body (SSL_CTX_set_read_ahead(3)). Whoever
// waits for the socket must have read all before.
static inline void farbell_easy_read_ahead(CURL *easy) {
    void *connection = farbell_easy_tls(easy);
    if (connection) SSL_set_read_ahead(connection, 1);
}

// Whether TLS agreed on HTTP/2 for the connection the handle uses now (RFC 7540 section 3.3). libcurl
// itself falls back to HTTP/1.1 without telling before the request is sent.
static inline int farbell_easy_negotiated_http2(CURL *easy) {
    void *connection = farbell_easy_tls(easy);
    if (!connection) return 0;
    const unsigned char *name = NULL;
    unsigned int length = 0;
    SSL_get0_alpn_selected(connection, &name, &length);
    return length == 2 && name[0] == 'h' && name[1] == '2';
}
