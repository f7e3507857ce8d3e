// libmicrohttpd; variadic start functions are wrapped here.
#pragma once
#include <microhttpd.h>
