// What Swift cannot call of libcurl directly (variadic functions) as static inline functions.
#pragma once
#include <curl/curl.h>
