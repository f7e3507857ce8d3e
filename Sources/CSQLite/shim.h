// SQLite; macros Swift cannot import are wrapped here.
#pragma once
#include <sqlite3.h>
