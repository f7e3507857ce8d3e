// nghttp2: the HTTP/2 client's frames, and those of the test kit's peers.
#pragma once
#include <nghttp2/nghttp2.h>
