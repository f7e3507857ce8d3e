// OpenSSL libcrypto; macros, variadics and parameter lists that Swift cannot import are wrapped here.
#pragma once
#include <openssl/cms.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

/// The curve P-256 as a key without numbers, for the two functions below; NULL on failure. To find the curve by its
/// name takes longer than to make a key pair on it.
static inline EVP_PKEY *ccrypto_p256_parameters(void) {
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)"prime256v1", 0),
        OSSL_PARAM_construct_end(),
    };
    if (context == NULL || EVP_PKEY_fromdata_init(context) != 1
        || EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEY_PARAMETERS, parameters) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(context);
    return key;
}

/// What makes key pairs on a curve with EVP_PKEY_generate, one thread at a time; NULL on failure. Freed by
/// EVP_PKEY_CTX_free.
static inline EVP_PKEY_CTX *ccrypto_generator(EVP_PKEY *curve) {
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, curve, NULL);
    if (context != NULL && EVP_PKEY_keygen_init(context) == 1) { return context; }
    EVP_PKEY_CTX_free(context);
    return NULL;
}

/// A key on a curve that has no point yet and takes one by EVP_PKEY_set1_encoded_public_key; NULL on failure.
static inline EVP_PKEY *ccrypto_blank_public_key(EVP_PKEY *curve) {
    EVP_PKEY *key = EVP_PKEY_new();
    if (key != NULL && EVP_PKEY_copy_parameters(key, curve) == 1) { return key; }
    EVP_PKEY_free(key);
    return NULL;
}

/// A new RSA key pair, or NULL.
static inline EVP_PKEY *ccrypto_rsa_generate(size_t bits) {
    return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", bits);
}

/// A P-256 key pair of an encoded point and its private number; NULL if the point is not on the curve.
static inline EVP_PKEY *ccrypto_p256_key(const unsigned char *point, size_t point_size,
                                         const unsigned char *scalar, size_t scalar_size) {
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *number = BN_secure_new();
    OSSL_PARAM *parameters = NULL;
    if (context != NULL && builder != NULL
        && OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1
        && OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, point_size) == 1
        && number != NULL && BN_bin2bn(scalar, (int)scalar_size, number) != NULL
        && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, number) == 1
        && (parameters = OSSL_PARAM_BLD_to_param(builder)) != NULL
        && EVP_PKEY_fromdata_init(context) == 1
        && EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, parameters) != 1) {
        key = NULL;
    }
    OSSL_PARAM_free(parameters);
    BN_clear_free(number);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(context);
    return key;
}

/// The uncompressed point (65 bytes) of a private P-256 number (32 bytes); 1 on success.
static inline int ccrypto_p256_point(const unsigned char scalar[32], unsigned char point[65]) {
    int done = 0;
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *result = group != NULL ? EC_POINT_new(group) : NULL;
    BIGNUM *number = BN_secure_new();
    if (result != NULL && number != NULL && BN_bin2bn(scalar, 32, number) != NULL
        && EC_POINT_mul(group, result, number, NULL, NULL, NULL) == 1
        && EC_POINT_point2oct(group, result, POINT_CONVERSION_UNCOMPRESSED, point, 65, NULL) == 65) {
        done = 1;
    }
    BN_clear_free(number);
    EC_POINT_free(result);
    EC_GROUP_free(group);
    return done;
}

/// The first step of HKDF with SHA-256 (RFC 5869 section 2.2): the key of the second, 32 bytes; 1 on success. A salt is
/// not empty: the context would take the one before.
static inline int ccrypto_hkdf_extract(EVP_KDF_CTX *context, const unsigned char *secret, size_t secret_size,
                                       const unsigned char *salt, size_t salt_size, unsigned char key[32]) {
    int mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, secret_size),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, salt_size),
        OSSL_PARAM_construct_end(),
    };
    return EVP_KDF_derive(context, key, 32, parameters) == 1;
}

/// The second step (RFC 5869 section 2.3); 1 on success.
static inline int ccrypto_hkdf_expand(EVP_KDF_CTX *context, const unsigned char *key, size_t key_size,
                                      const unsigned char *info, size_t info_size, unsigned char *result,
                                      size_t result_size) {
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    // OpenSSL 3.0 crashes on an empty one behind another, and keeps the other when none is given.
    if (info_size == 0) { EVP_KDF_CTX_reset(context); }
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, key_size),
        info_size > 0 ? OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, info_size)
                      : OSSL_PARAM_construct_end(),
        OSSL_PARAM_construct_end(),
    };
    return EVP_KDF_derive(context, result, result_size, parameters) == 1;
}

/// HMAC with SHA-256 (RFC 2104) under a key, ready for messages; NULL on failure. Freed by EVP_MAC_CTX_free.
static inline EVP_MAC_CTX *ccrypto_hmac_sha256(const unsigned char *key, size_t key_size) {
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                     OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    // Without a key the library would wait for one.
    static const unsigned char none[1] = {0};
    if (context && EVP_MAC_init(context, key_size > 0 ? key : none, key_size, parameters) == 1) return context;
    EVP_MAC_CTX_free(context);
    return NULL;
}

/// The code of a message, 32 bytes; 1 on success. The context is used from its start, with the key it has.
static inline int ccrypto_hmac(EVP_MAC_CTX *context, const unsigned char *message, size_t size,
                               unsigned char result[32]) {
    size_t count = 0;
    return EVP_MAC_init(context, NULL, 0, NULL) == 1 && EVP_MAC_update(context, message, size) == 1
           && EVP_MAC_final(context, result, &count, 32) == 1 && count == 32;
}

/// The bytes of a memory BIO, owned by it.
static inline long ccrypto_bio_data(BIO *bio, char **data) { return BIO_get_mem_data(bio, data); }

/// Detached CMS (RFC 5652) of a message, without signed attributes, with the certificates of `chain`
/// (may be empty) beside the signer's; NULL on failure.
static inline CMS_ContentInfo *ccrypto_cms_sign(X509 *certificate, EVP_PKEY *key, STACK_OF(X509) *chain, BIO *message) {
    return CMS_sign(certificate, key, chain, message, CMS_DETACHED | CMS_BINARY | CMS_NOATTR);
}

/// Reads the next certificate of a PEM text onto the list; 1 if there was one.
static inline int ccrypto_read_certificate(BIO *pem, STACK_OF(X509) *list) {
    X509 *certificate = PEM_read_bio_X509(pem, NULL, NULL, NULL);
    if (certificate == NULL) { return 0; }
    if (sk_X509_push(list, certificate) > 0) { return 1; }
    X509_free(certificate);
    return -1;
}

static inline STACK_OF(X509) *ccrypto_certificates_new(void) { return sk_X509_new_null(); }
static inline void ccrypto_certificates_free(STACK_OF(X509) *list) { sk_X509_pop_free(list, X509_free); }
/// Takes the first certificate off the list; the caller owns it. NULL if there is none.
static inline X509 *ccrypto_certificates_shift(STACK_OF(X509) *list) { return sk_X509_shift(list); }

/// Gives no passphrase. Without this callback OpenSSL would ask for it on the terminal.
static inline int ccrypto_refuse_passphrase(char *buffer, int size, int writing, void *data) {
    (void)buffer, (void)size, (void)writing, (void)data;
    return -1;
}

/// A private key from PEM, which `password` (a C string) opens if it is encrypted; NULL if there is none.
static inline EVP_PKEY *ccrypto_read_private_key(BIO *pem, const void *password) {
    return PEM_read_bio_PrivateKey(pem, NULL, NULL, (void *)password);
}

/// Key and certificate of a PKCS#12 file; 1 on success. The caller owns what was found, also without success.
static inline int ccrypto_read_pkcs12(const unsigned char *bytes, size_t size, const void *password, EVP_PKEY **key,
                                      X509 **certificate) {
    PKCS12 *file = d2i_PKCS12(NULL, &bytes, (long)size);
    int done = file != NULL && PKCS12_parse(file, (const char *)password, key, certificate, NULL) == 1;
    PKCS12_free(file);
    return done && *key != NULL && *certificate != NULL;
}

/// The end of a certificate's validity in seconds since 1970; 0 if it cannot be read.
static inline int64_t ccrypto_certificate_end(const X509 *certificate) {
    ASN1_TIME *start = ASN1_TIME_set(NULL, 0);
    int days = 0, seconds = 0;
    int done = start != NULL && ASN1_TIME_diff(&days, &seconds, start, X509_get0_notAfter(certificate)) == 1;
    ASN1_TIME_free(start);
    return done ? (int64_t)days * 86400 + seconds : 0;
}

/// The control calls of GCM take their command as a macro.
static inline int ccrypto_gcm_set_tag(EVP_CIPHER_CTX *context, void *tag, int size) {
    return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, size, tag);
}
static inline int ccrypto_gcm_get_tag(EVP_CIPHER_CTX *context, void *tag, int size) {
    return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, size, tag);
}
