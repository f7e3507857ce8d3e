// OpenSSL libcrypto; macros Swift cannot import are wrapped here.
#pragma once
#include <openssl/evp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
