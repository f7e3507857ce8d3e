// OpenSSL libssl, for the TLS peers of the test kit only; macros and variadic functions that Swift cannot
// import are wrapped here. epoll and eventfd come with it because Swift's Glibc module leaves them out.
#pragma once
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

// Thousands of idle connections: buffers are freed while idle, no session cache, no tickets.
static inline void ctls_make_small(SSL_CTX *context) {
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
}

static inline EVP_PKEY *ctls_new_p256_key(void) { return EVP_EC_gen("P-256"); }

static inline EVP_PKEY *ctls_new_rsa_key(unsigned int bits) { return EVP_RSA_gen(bits); }

// A public key from its uncompressed point (65 bytes); NULL when the point is not on the curve.
static inline EVP_PKEY *ctls_p256_public_key(const unsigned char *point, size_t length) {
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (!context) return NULL;
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)"P-256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point, length),
        OSSL_PARAM_construct_end(),
    };
    if (EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    return key;
}

// HKDF-SHA-256, extract and expand (RFC 5869); 1 on success.
static inline int ctls_hkdf_sha256(const unsigned char *salt, size_t salt_length, const unsigned char *key,
                                   size_t key_length, const unsigned char *info, size_t info_length,
                                   unsigned char *output, size_t output_length) {
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, salt_length),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, key_length),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, info_length),
        OSSL_PARAM_construct_end(),
    };
    int done = context && EVP_KDF_derive(context, output, output_length, parameters) == 1;
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return done;
}

// The subject's common name, without its end mark; returns its length, or -1.
static inline int ctls_common_name(X509 *certificate, unsigned char *buffer, int size) {
    return X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, (char *)buffer, size);
}

static inline int ctls_set_gcm_tag(EVP_CIPHER_CTX *context, void *tag, int length) {
    return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, length, tag);
}

static inline int ctls_get_gcm_tag(EVP_CIPHER_CTX *context, void *tag, int length) {
    return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, length, tag);
}

static inline X509_EXTENSION *ctls_extension(X509 *issuer, X509 *subject, int kind, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, subject, NULL, NULL, 0);
    return X509V3_EXT_conf_nid(NULL, &context, kind, value);
}

static inline long ctls_memory_bytes(BIO *bio, char **start) { return BIO_get_mem_data(bio, start); }

static inline int ctls_epoll_flags(void) { return EPOLL_CLOEXEC; }
static inline int ctls_eventfd_flags(void) { return EFD_CLOEXEC | EFD_NONBLOCK; }
