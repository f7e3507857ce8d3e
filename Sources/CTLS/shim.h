// OpenSSL libssl, for the TLS peers of the test kit only.
#pragma once
#include <openssl/ssl.h>
#include <openssl/err.h>
