// nghttp2, for the HTTP/2 peers of the test kit only.
#pragma once
#include <nghttp2/nghttp2.h>
