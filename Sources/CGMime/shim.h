// GMime; type-cast macros are wrapped here.
#pragma once
#include <gmime/gmime.h>
