// libjemalloc. Linked into the program, it takes the place of the C library's allocator for Swift and for every library.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <jemalloc/jemalloc.h>
