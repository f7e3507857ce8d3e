// What starting a program needs of the C library and Swift's Glibc module hides, because it compiles the
// headers without _GNU_SOURCE: declared here as glibc 2.34 and musl 1.1.24 have them. No header is included, or
// its types would belong to this module; so `actions` (a posix_spawn_file_actions_t *) has no type.
#pragma once

extern int pipe2(int ends[2], int flags);
extern int posix_spawn_file_actions_addclosefrom_np(void *actions, int from);
extern int posix_spawn_file_actions_addchdir_np(void *actions, const char *path);
// `limit` and `old` are struct rlimit *.
extern int prlimit(int process, int resource, const void *limit, void *old);
